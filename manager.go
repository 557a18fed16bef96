package main

import (
	"log/slog"
	"net"
	"os"
)

// tellManager tells systemd, or whoever else started this with NOTIFY_SOCKET, how far the server is (sd_notify(3)). Nobody else hears it.
func tellManager(log *slog.Logger, state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.Dial("unixgram", path)
	if err == nil {
		_, err = conn.Write([]byte(state))
		conn.Close()
	}
	if err != nil {
		log.Warn("the service manager was not told", "state", state, "error", err)
	}
}
