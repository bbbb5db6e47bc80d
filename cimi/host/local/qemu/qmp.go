package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Machine is a connection to a machine that runs. It ends with the machine;
// closing it leaves the machine alone.
type Machine struct {
	dir  string
	conn net.Conn

	calls   sync.Mutex // one at a time
	copying sync.Mutex
	lines   chan reply

	mu     sync.Mutex
	reason string // of SHUTDOWN, empty before
	done   chan struct{}
}

type reply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string `json:"event"`
	Data  struct {
		Reason string `json:"reason"`
	} `json:"data"`
	Greeting json.RawMessage `json:"QMP"`
}

// ErrEnded: the machine does not run any more.
var ErrEnded = errors.New("the machine does not run")

// answerTimeout bounds the answer to one command.
const answerTimeout = 30 * time.Second

// Attach connects to the machine that runs in dir; where none does the error
// wraps ErrEnded.
func Attach(ctx context.Context, dir string) (*Machine, error) {
	conn, err := dial(ctx, dir, socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnded, err)
	}
	m := &Machine{dir: dir, conn: conn, lines: make(chan reply, 1), done: make(chan struct{})}
	go m.listen()
	select {
	case r, ok := <-m.lines:
		if !ok || r.Greeting == nil {
			m.Close()
			return nil, fmt.Errorf("%w: no greeting", ErrEnded)
		}
	case <-ctx.Done():
		m.Close()
		return nil, context.Cause(ctx)
	case <-time.After(answerTimeout):
		m.Close()
		return nil, fmt.Errorf("%s: QEMU does not answer", dir)
	}
	if err := m.execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// listen hands on answers and remembers why the machine ended.
func (m *Machine) listen() {
	defer close(m.done)
	defer close(m.lines)
	in := bufio.NewReaderSize(m.conn, 64<<10)
	dec := json.NewDecoder(in)
	for {
		var r reply
		if dec.Decode(&r) != nil {
			return
		}
		switch {
		case r.Event == "SHUTDOWN":
			m.mu.Lock()
			m.reason = r.Data.Reason
			if m.reason == "" {
				m.reason = "shutdown"
			}
			m.mu.Unlock()
		case r.Event == "":
			m.lines <- r
		}
	}
}

// Done is closed when the machine has ended, or the connection to it.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Orderly tells, after Done, whether the machine was shut down or ended by itself.
func (m *Machine) Orderly() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reason != "" && m.reason != "guest-panic"
}

// Close ends the connection.
func (m *Machine) Close() error { return m.conn.Close() }

func (m *Machine) execute(ctx context.Context, command string, arguments map[string]any, out any) error {
	m.calls.Lock()
	defer m.calls.Unlock()
	call := map[string]any{"execute": command}
	if arguments != nil {
		call["arguments"] = arguments
	}
	b, err := json.Marshal(call)
	if err != nil {
		return err
	}
	if _, err := m.conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("%w: %w", ErrEnded, err)
	}
	select {
	case r, ok := <-m.lines:
		switch {
		case !ok:
			return ErrEnded
		case r.Error != nil:
			return fmt.Errorf("qemu: %s: %s", command, r.Error.Desc)
		case out != nil:
			return json.Unmarshal(r.Return, out)
		}
		return nil
	case <-ctx.Done():
		m.Close() // an answer that comes later would be taken for another's
		return context.Cause(ctx)
	case <-time.After(answerTimeout):
		m.Close()
		return fmt.Errorf("qemu: %s: no answer for %s", command, answerTimeout)
	}
}

// Status is QEMU's word for what the machine does: running, paused, io-error, …
func (m *Machine) Status(ctx context.Context) (string, error) {
	var s struct {
		Status string `json:"status"`
	}
	err := m.execute(ctx, "query-status", nil, &s)
	return s.Status, err
}

// Broken waits for a while and tells whether the machine stands still because
// its processor does: /dev/kvm may be there, begin well, and not be able to go on.
func (m *Machine) Broken(ctx context.Context, while time.Duration) (bool, error) {
	end := time.After(while)
	tick := time.NewTicker(while / 40)
	defer tick.Stop()
	for {
		status, err := m.Status(ctx)
		switch {
		case errors.Is(err, ErrEnded):
			return false, nil
		case err != nil || status == "internal-error":
			return err == nil, err
		}
		select {
		case <-end:
			return false, nil
		case <-m.done:
			return false, nil
		case <-tick.C:
		}
	}
}

// Pause halts the machine, Resume lets it go on.
func (m *Machine) Pause(ctx context.Context) error  { return m.execute(ctx, "stop", nil, nil) }
func (m *Machine) Resume(ctx context.Context) error { return m.execute(ctx, "cont", nil, nil) }

// askAgain is how often a guest is asked to shut down: one that is still booting
// does not hear it.
const askAgain = 10 * time.Second

// Shutdown asks the guest to shut down and waits until it has, or ctx ends.
func (m *Machine) Shutdown(ctx context.Context) error {
	for {
		if err := m.execute(ctx, "system_powerdown", nil, nil); err != nil && !errors.Is(err, ErrEnded) {
			return err
		}
		select {
		case <-m.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(askAgain):
		}
	}
}

// quitTimeout is how long a machine may take to end when it must.
const quitTimeout = 5 * time.Second

// Quit takes the power away.
func (m *Machine) Quit(ctx context.Context) error {
	if err := m.execute(ctx, "quit", nil, nil); err == nil || errors.Is(err, ErrEnded) {
		select {
		case <-m.done:
			return nil
		case <-time.After(quitTimeout):
		}
	}
	b, err := os.ReadFile(filepath.Join(m.dir, pidFile))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		return fmt.Errorf("%s: not a process: %q", filepath.Join(m.dir, pidFile), b)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-m.done
	return nil
}
