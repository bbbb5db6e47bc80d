//go:build unix

package qemu

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// detach makes the process one that our end, and the terminal's, do not touch.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// dial connects to a socket in a folder, whose path may be longer than an
// address can be (108 bytes on Linux).
func dial(ctx context.Context, dir, name string) (net.Conn, error) {
	var d net.Dialer
	path := filepath.Join(dir, name)
	if len(path) < 100 || runtime.GOOS != "linux" {
		return d.DialContext(ctx, "unix", path)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), name))
}
