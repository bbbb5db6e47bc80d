package endpoint

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// claim is a process's place among those that work on one hypervisor: what the
// hypervisor has no place for lies in a database of its own, and what the
// process leaves in the middle bears its owner's name. Places are taken from
// the first; the next process to take one removes what the last one left.
type claim struct {
	Database string
	Owner    string
	// Heirs are the owners of places that nobody holds.
	Heirs []string

	lock *os.File
}

// errTaken: another process holds the place.
var errTaken = errors.New("taken")

// maxClaims bounds the processes on one hypervisor.
const maxClaims = 64

// claimed takes a place for the hypervisor that url names, below dir.
func claimed(dir, url string) (*claim, error) {
	sum := sha256.Sum256([]byte(url))
	dir = filepath.Join(dir, "clouds", hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var c *claim
	var heirs []string
	for n := range maxClaims {
		base := filepath.Join(dir, strconv.Itoa(n))
		if _, err := os.Stat(base + ".owner"); c != nil && errors.Is(err, fs.ErrNotExist) {
			break
		}
		lock, err := lockFile(base + ".lock")
		if errors.Is(err, errTaken) {
			continue
		}
		if err != nil {
			return nil, err
		}
		owner, err := ownerOf(base + ".owner")
		if err != nil {
			return nil, errors.Join(err, lock.Close())
		}
		if c == nil {
			c = &claim{Database: base + ".db", Owner: owner, lock: lock}
			continue
		}
		heirs = append(heirs, owner)
		lock.Close()
	}
	if c == nil {
		return nil, fmt.Errorf("more than %d processes work on this hypervisor", maxClaims)
	}
	c.Heirs = heirs
	return c, nil
}

// ownerOf reads or makes the name of a place.
func ownerOf(file string) (string, error) {
	b, err := os.ReadFile(file)
	if name := strings.TrimSpace(string(b)); err == nil && name != "" {
		return name, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	name := strings.ToLower(rand.Text())
	// It must be there whole before anything bears it.
	if err := os.WriteFile(file+".new", []byte(name+"\n"), 0o600); err != nil {
		return "", err
	}
	return name, os.Rename(file+".new", file)
}

// Close gives the place back.
func (c *claim) Close() error { return c.lock.Close() }
