package journal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Lock is held by the process that works on a run. On one machine it is a lock
// of the operating system; in a shared journal, a lease.
type Lock struct {
	f *os.File

	name   string
	shared *shared
	lost   chan struct{}
	since  time.Time // when it was taken; zero while that is asked
}

// ItemLock and BatchLock name the locks of an item of a runbook and of a
// runbook, WorkerLock that by which a worker tells that it is there.
func ItemLock(batch, key string) string { return "item\x1f" + batch + "\x1f" + key }
func BatchLock(batch string) string     { return "batch\x1f" + batch }
func WorkerLock(id string) string       { return workers + id }

const workers = "worker\x1f"

// Workers is how many there are that take work from a shared journal.
func (j *Journal) Workers(ctx context.Context) (n int, err error) {
	if j.shared == nil {
		return 0, nil
	}
	err = j.queryRow(ctx, `SELECT count(*) FROM lease WHERE starts_with(name, ?) AND expires > now()`, workers).Scan(&n)
	return n, err
}

// Lost is closed when somebody else has taken the lock, which happens to
// leases only: what it guards is not to be touched any more.
func (l *Lock) Lost() <-chan struct{} { return l.lost }

// Lock takes the lock of a run or of another name without waiting; ErrLocked
// when another holder, in this process or another, has it.
func (j *Journal) Lock(name string) (*Lock, error) {
	if j.shared != nil {
		return j.shared.lock(name)
	}
	f, err := os.OpenFile(j.lockFile(name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, j.full(err)
	}
	if err = settledLock(f); err != nil {
		f.Close()
		if errors.Is(err, errHeld) {
			return nil, fmt.Errorf("%s: %w", name, ErrLocked)
		}
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return &Lock{f: f}, nil
}

// Slot takes one of n places by a name in a shared journal without waiting;
// ErrLocked when all are taken.
func (j *Journal) Slot(name string, n int) (*Lock, error) {
	for place := range n {
		l, err := j.Lock(fmt.Sprintf("slot\x1f%s\x1f%d", name, place))
		if err == nil || !errors.Is(err, ErrLocked) {
			return l, err
		}
	}
	return nil, fmt.Errorf("%s: %w", name, ErrLocked)
}

// Locked tells whether somebody holds the lock, without waiting.
func (j *Journal) Locked(name string) bool {
	if j.shared != nil {
		return j.shared.locked(name)
	}
	f, err := os.OpenFile(j.lockFile(name), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		return true
	}
	defer f.Close()
	return settledLock(f) != nil
}

// settledLock is tryLock for a lock that may be held for an instant: by Locked,
// or by a process that another goroutine is just starting, which has all open
// files until it runs its program.
func settledLock(f *os.File) error {
	err := tryLock(f)
	for wait := time.Millisecond; errors.Is(err, errHeld) && wait < 50*time.Millisecond; wait *= 2 {
		time.Sleep(wait)
		err = tryLock(f)
	}
	return err
}

// Unlock gives the lock back. The file stays: removing it would race with
// another process that opens it.
func (l *Lock) Unlock() error {
	if l.shared != nil {
		return l.shared.unlock(l)
	}
	return l.f.Close()
}

// lockFile: names other than run ids may hold anything and are digested.
func (j *Journal) lockFile(name string) string {
	if !ValidID(name) {
		sum := sha256.Sum256([]byte(name))
		name = hex.EncodeToString(sum[:16])
	}
	return filepath.Join(j.dir, "locks", name)
}
