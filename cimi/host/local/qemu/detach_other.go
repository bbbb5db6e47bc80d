//go:build !unix

package qemu

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
)

func detach(*exec.Cmd) {}

func dial(ctx context.Context, dir, name string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", filepath.Join(dir, name))
}
