package client

import (
	"context"
	"os/exec"
	"syscall"
)

// shell runs a command line as it stands: cmd.exe has its own rules of quoting.
func shell(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "cmd")
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: "cmd /C " + command, HideWindow: true}
	return cmd
}
