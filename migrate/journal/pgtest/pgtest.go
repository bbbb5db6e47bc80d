// Package pgtest starts a PostgreSQL cluster of a test's own, from the programs
// that Debian's package postgresql brings. A test whose machine lacks them is
// skipped, or fails where CIMIMOVE_CI is 1.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
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

var shared struct {
	mu    sync.Mutex
	c     *Cluster
	users int
	end   func()
}

// Shared is a cluster that the tests which run at the same time have in common: to
// make one takes seconds. Who stops it has one of its own.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.c == nil {
		shared.c, shared.end = start(t)
	}
	shared.users++
	t.Cleanup(func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		if shared.users--; shared.users == 0 {
			shared.end()
			shared.c = nil
		}
	})
	return &Cluster{t: t, bin: shared.c.bin, port: shared.c.port}
}

// Start makes a cluster and starts it; it ends with the test.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c, end := start(t)
	t.Cleanup(end)
	return c
}

// start makes one that runs until end is called.
func start(t testing.TB) (c *Cluster, end func()) {
	t.Helper()
	c = &Cluster{t: t, bin: programs(t)}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		t.Fatal(err)
	}
	end = func() {
		c.Kill()
		os.RemoveAll(dir)
	}
	running := false
	defer func() {
		if !running {
			end()
		}
	}()
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
	running = true
	return c, end
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
	c.cmd = c.command("postgres", "-D", c.data, "-p", strconv.Itoa(c.port), "-c", "unix_socket_directories=", "-c", "dynamic_shared_memory_type=mmap", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=400",
		"-c", "fsync=off") // a killed server loses nothing of what the system has taken
	var log bytes.Buffer
	c.cmd.Stderr = &log
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := c.query("SELECT 1")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.Kill()
			c.t.Fatalf("the PostgreSQL server does not answer: %v\n%s", err, log.String())
		}
	}
}

// query runs a statement in the database that a cluster begins with.
func (c *Cluster) query(statement string) error {
	ctx := context.Background()
	db, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, statement)
	return errors.Join(err, db.Close(ctx))
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

var databases atomic.Int64

// URL of a database that is made for the caller.
func (c *Cluster) URL(database string) string {
	c.t.Helper()
	name := fmt.Sprintf("%s_%d", database, databases.Add(1))
	if err := c.query("CREATE DATABASE " + pgx.Identifier{name}.Sanitize()); err != nil {
		c.t.Fatal(err)
	}
	return c.url(name)
}

func (c *Cluster) url(database string) string {
	return fmt.Sprintf("postgres://cimimove@127.0.0.1:%d/%s?sslmode=disable", c.port, database)
}
