package journal

import (
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
	since  time.Time
}

// ItemLock and BatchLock name the locks of an item of a runbook and of a runbook.
func ItemLock(batch, key string) string { return "item\x1f" + batch + "\x1f" + key }
func BatchLock(batch string) string     { return "batch\x1f" + batch }

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
		return nil, err
	}
	err = tryLock(f)
	for tries := 0; errors.Is(err, errHeld) && tries < 5; tries++ {
		// Locked may hold it for an instant.
		time.Sleep(10 * time.Millisecond)
		err = tryLock(f)
	}
	if err != nil {
		f.Close()
		if errors.Is(err, errHeld) {
			return nil, fmt.Errorf("%s: %w", name, ErrLocked)
		}
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return &Lock{f: f}, nil
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
	return tryLock(f) != nil
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
