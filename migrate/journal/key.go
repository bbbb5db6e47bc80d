package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// KeySize is that of a Key, in bytes.
const KeySize = 32

// Key gives a random key, the same each time for a name. It is beside the
// journal, in a file that only this user can read, so that the journal alone
// gives nothing away; where many machines work together it is in their database.
func (j *Journal) Key(ctx context.Context, name string) ([]byte, error) {
	if !j.Shared() {
		return keyFile(filepath.Join(j.Dir(), name+".key"))
	}
	return j.Setting(ctx, name+".key", func() []byte {
		key := make([]byte, KeySize)
		rand.Read(key)
		return key
	})
}

func keyFile(file string) ([]byte, error) {
	key, err := os.ReadFile(file)
	if err == nil && len(key) == KeySize {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		return nil, fmt.Errorf("%s: has %d bytes, not %d: remove it", file, len(key), KeySize)
	}
	key = make([]byte, KeySize)
	rand.Read(key)
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+"-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(key)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	// A link does not replace: when two processes make the key at once, both use the first.
	if err := os.Link(tmp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(file)
}
