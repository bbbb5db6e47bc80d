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

// Lock is held by the process that works on a run.
type Lock struct {
	f *os.File
}

// Lock takes the lock of a run or of another name without waiting; ErrLocked
// when another holder, in this process or another, has it.
func (j *Journal) Lock(name string) (*Lock, error) {
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
	return &Lock{f}, nil
}

// Locked tells whether somebody holds the lock, without waiting.
func (j *Journal) Locked(name string) bool {
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
func (l *Lock) Unlock() error { return l.f.Close() }

// lockFile: names other than run ids may hold anything and are digested.
func (j *Journal) lockFile(name string) string {
	if !ValidID(name) {
		sum := sha256.Sum256([]byte(name))
		name = hex.EncodeToString(sum[:16])
	}
	return filepath.Join(j.dir, "locks", name)
}
