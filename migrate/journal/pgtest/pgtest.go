// Package pgtest starts a PostgreSQL cluster of a test's own, from the programs
// that Debian's package postgresql brings. A test whose machine lacks them is
// skipped, or fails where CIMIMOVE_CI is 1.
package pgtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Cluster is a running server, on a loopback port.
type Cluster struct {
	t    testing.TB
	bin  string
	data string
	port int
	cred *syscall.Credential
	cmd  *exec.Cmd
}

// Start makes a cluster and starts it; it ends with the test.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t, bin: programs(t)}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c.data = filepath.Join(dir, "data")
	// The server refuses to run as root.
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			skip(t, "the user postgres")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		c.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := c.command("initdb", "-D", c.data, "-U", "cimimove", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	c.Run()
	t.Cleanup(c.Kill)
	return c
}

// programs finds the folder of the server's programs.
func programs(t testing.TB) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		// Elsewhere they are on the path, perhaps by a link to where they all are.
		if p, err := exec.LookPath("initdb"); err == nil {
			if p, err = filepath.EvalSymlinks(p); err == nil {
				return filepath.Dir(p)
			}
		}
		skip(t, "initdb (package postgresql)")
	}
	return filepath.Dir(slices.Max(found))
}

func skip(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CIMIMOVE_CI") == "1" {
		t.Fatalf("%s is missing, and this test is mandatory here", what)
	}
	t.Skipf("%s is missing", what)
}

func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred, Setpgid: true}
	return cmd
}

// Run starts the server and waits until it answers.
func (c *Cluster) Run() {
	c.t.Helper()
	c.cmd = c.command("postgres", "-D", c.data, "-p", strconv.Itoa(c.port), "-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200")
	var log bytes.Buffer
	c.cmd.Stderr = &log
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	var last []byte
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		out, err := c.command("psql", "-h", "127.0.0.1", "-p", strconv.Itoa(c.port), "-U", "cimimove", "-c", "SELECT 1", "postgres").CombinedOutput()
		if err == nil {
			return
		}
		last = fmt.Appendf(out, "%v", err)
		if time.Now().After(deadline) {
			c.Kill()
			c.t.Fatalf("the PostgreSQL server does not answer: %s\n%s", last, log.String())
		}
	}
}

// Kill ends the server and all its processes as a crash would.
func (c *Cluster) Kill() {
	if c.cmd == nil || c.cmd.Process == nil {
		return
	}
	syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	c.cmd.Wait()
	c.cmd = nil
}

// URL of a database that is made for the caller.
func (c *Cluster) URL(database string) string {
	c.t.Helper()
	if out, err := c.command("createdb", "-h", "127.0.0.1", "-p", strconv.Itoa(c.port), "-U", "cimimove", database).CombinedOutput(); err != nil {
		c.t.Fatalf("createdb: %v\n%s", err, out)
	}
	return fmt.Sprintf("postgres://cimimove@127.0.0.1:%d/%s?sslmode=disable", c.port, database)
}
