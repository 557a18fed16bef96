//go:build !unix

package server

import "net"

func newSocket(conn net.Conn) socket { return &plainSocket{conn: conn} }
