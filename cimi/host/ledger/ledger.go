// Package ledger keeps beside a hypervisor's machines what the hypervisor has
// no place for: the record of each System with its kept descriptor, the kept
// files of its package, and a note of every import and deletion under way.
//
// It promises that a System is listed if and only if its record is whole: a
// record carries its length and digest, is written last in an import and is
// never changed, only followed by a newer one. What an import is about to make
// is noted before it is made; Leftovers gives the notes of work that ended in
// the middle, so that the host can undo it.
package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// Shelf is where the hypervisor lets a ledger put files. Methods may be called
// concurrently. A file may come back longer than it was written, padded by
// zeros, where storage is given out in blocks.
type Shelf interface {
	// Create makes a file, which counts when it was closed without error; one
	// of that name is replaced.
	Create(ctx context.Context, name string) (io.WriteCloser, error)
	// Open opens a file; one that is not there is host.ErrNotFound.
	Open(ctx context.Context, name string) (ovf.MemberFile, error)
	// Names of all files, in any order.
	Names(ctx context.Context) ([]string, error)
	// Remove removes a file; that it is not there is no error.
	Remove(ctx context.Context, name string) error
}

// Entry is what is kept of one System.
type Entry struct {
	System      *host.System `json:"system"`
	Manifest    []byte       `json:"manifest,omitempty"`
	Certificate []byte       `json:"certificate,omitempty"`
	// FileSizes are the lengths in bytes of the kept files, in the order of
	// System.FileNames.
	FileSizes []int64 `json:"fileSizes,omitempty"`
	// Places leads from ids of machines and disks to what the hypervisor calls
	// them, where that cannot be told from the id.
	Places map[string]string `json:"places,omitempty"`
	// Versions are what the hypervisor called the state of each machine or disk,
	// by id, when digests were taken: they hold as long as that is what it calls it.
	Versions map[string]string `json:"versions,omitempty"`
}

// Note is work under way: what must be gone when it does not end well.
type Note struct {
	Owner    string   `json:"owner"` // who works; see Ledger.Owner
	Removing bool     `json:"removing,omitempty"`
	Machines []string `json:"machines,omitempty"` // ids
	Disks    []string `json:"disks,omitempty"`    // ids
	// Pools are where the disks are, in their order, for hosts with several.
	Pools []string `json:"pools,omitempty"`
	// Leases are what the hypervisor calls rights to make something that are
	// open, and that a host can give back.
	Leases []string `json:"leases,omitempty"`
	// Of is the System that a change is of: what its record names is its own by
	// then, and stays. The note bears an id of its own.
	Of string `json:"of,omitempty"`
}

// Ledger of one hypervisor.
type Ledger struct {
	Shelf Shelf
	// Owner tells this process's notes from those of others that work on the
	// same hypervisor: only notes of its own are leftovers.
	Owner string

	mu    sync.Mutex
	known map[string]*Entry // by the name of the record, which never changes
}

// safeID: ids are made by us or chosen by callers; they become names of files.
var safeID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

const magic = "cimimove-record 1"

const noteSuffix = ".note"

func noteName(id string) string                { return id + noteSuffix }
func recordName(id string, version int) string { return id + ".record." + strconv.Itoa(version) }

// FileName is what kept file n of a System is called on the shelf.
func FileName(id string, n int) string { return id + ".file." + strconv.Itoa(n) }

// versions are the versions of a System's record among names, newest first.
func versions(names []string, id string) []int {
	var out []int
	for _, n := range names {
		if rest, ok := strings.CutPrefix(n, id+".record."); ok {
			if v, err := strconv.Atoi(rest); err == nil && v > 0 {
				out = append(out, v)
			}
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out
}

// Begin notes an import before it makes anything.
func (l *Ledger) Begin(ctx context.Context, id string, note Note) error {
	if !safeID.MatchString(id) {
		return fmt.Errorf("system id %q: %w", id, host.ErrUnsupported)
	}
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return err
	}
	if len(versions(names, id)) > 0 || slices.Contains(names, noteName(id)) {
		return fmt.Errorf("system %s: %w", id, host.ErrExists)
	}
	return l.note(ctx, id, note)
}

// Amend replaces the note of an import that was begun.
func (l *Ledger) Amend(ctx context.Context, id string, note Note) error {
	return l.note(ctx, id, note)
}

func (l *Ledger) note(ctx context.Context, id string, note Note) error {
	note.Owner = l.Owner
	return l.put(ctx, noteName(id), note)
}

// Renote writes a note anew, with more in it.
func (l *Ledger) Renote(ctx context.Context, id string, note Note) error {
	return l.note(ctx, id, note)
}

// Commit lists the System: the import is whole.
func (l *Ledger) Commit(ctx context.Context, e *Entry) error {
	if err := l.put(ctx, recordName(e.System.ID, 1), e); err != nil {
		return err
	}
	return l.Shelf.Remove(ctx, noteName(e.System.ID))
}

// Replace writes a newer record of a System.
func (l *Ledger) Replace(ctx context.Context, e *Entry) error {
	id := e.System.ID
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return err
	}
	old := versions(names, id)
	if len(old) == 0 {
		return fmt.Errorf("system %s: %w", id, host.ErrNotFound)
	}
	if err := l.put(ctx, recordName(id, old[0]+1), e); err != nil {
		return err
	}
	return l.removeRecords(ctx, id, old)
}

func (l *Ledger) removeRecords(ctx context.Context, id string, which []int) error {
	// Oldest first: the newest counts as long as it is there.
	for _, v := range slices.Backward(which) {
		if err := l.Shelf.Remove(ctx, recordName(id, v)); err != nil {
			return err
		}
	}
	return nil
}

// BeginRemove notes a deletion, after which the System is not listed any more.
func (l *Ledger) BeginRemove(ctx context.Context, id string, note Note) error {
	note.Removing = true
	if err := l.note(ctx, id, note); err != nil {
		return err
	}
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return err
	}
	return l.removeRecords(ctx, id, versions(names, id))
}

// Forget removes everything kept of a System, its note last.
func (l *Ledger) Forget(ctx context.Context, id string) error {
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return err
	}
	if err := l.removeRecords(ctx, id, versions(names, id)); err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n, id+".file.") {
			if err := l.Shelf.Remove(ctx, n); err != nil {
				return err
			}
		}
	}
	return l.Shelf.Remove(ctx, noteName(id))
}

// Get reads what is kept of a System; the caller owns it.
func (l *Ledger) Get(ctx context.Context, id string) (*Entry, error) {
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return nil, err
	}
	return l.newest(ctx, names, id)
}

// All reads every System, those that came first first.
func (l *Ledger) All(ctx context.Context) ([]*Entry, error) {
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, n := range names {
		if id, _, ok := strings.Cut(n, ".record."); ok {
			ids[id] = true
		}
	}
	var out []*Entry
	for id := range ids {
		e, err := l.newest(ctx, names, id)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *Entry) int {
		if c := a.System.Created.Compare(b.System.Created); c != 0 {
			return c
		}
		return strings.Compare(a.System.ID, b.System.ID)
	})
	return out, nil
}

// newest is the newest whole record.
func (l *Ledger) newest(ctx context.Context, names []string, id string) (*Entry, error) {
	for _, v := range versions(names, id) {
		e, err := l.entry(ctx, recordName(id, v))
		if errors.Is(err, errBroken) || errors.Is(err, host.ErrNotFound) {
			continue // half written, or replaced meanwhile
		}
		return e, err
	}
	return nil, fmt.Errorf("system %s: %w", id, host.ErrNotFound)
}

func (l *Ledger) entry(ctx context.Context, name string) (*Entry, error) {
	l.mu.Lock()
	e := l.known[name]
	l.mu.Unlock()
	if e == nil {
		e = new(Entry)
		if err := l.get(ctx, name, e); err != nil {
			return nil, err
		}
		if e.System == nil {
			return nil, errBroken
		}
		l.mu.Lock()
		if l.known == nil {
			l.known = map[string]*Entry{}
		}
		l.known[name] = e
		l.mu.Unlock()
	}
	return clone(e)
}

func clone(e *Entry) (*Entry, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	out := new(Entry)
	return out, json.Unmarshal(b, out)
}

// CreateFile takes kept file n of a System that arrives.
func (l *Ledger) CreateFile(ctx context.Context, id string, n int) (io.WriteCloser, error) {
	return l.Shelf.Create(ctx, FileName(id, n))
}

// OpenFile opens a kept file by its name in the package.
func (l *Ledger) OpenFile(ctx context.Context, e *Entry, name string) (ovf.MemberFile, error) {
	i := slices.Index(e.System.FileNames, name)
	if i < 0 || i >= len(e.FileSizes) {
		return nil, fmt.Errorf("file %s: %w", name, host.ErrNotFound)
	}
	f, err := l.Shelf.Open(ctx, FileName(e.System.ID, i))
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	if f.Size() < e.FileSizes[i] {
		return nil, errors.Join(&ovf.IntegrityError{Package: "system " + e.System.Name, File: name,
			Reason: fmt.Sprintf("%d bytes are left of %d", f.Size(), e.FileSizes[i])}, f.Close())
	}
	return cut{io.NewSectionReader(f, 0, e.FileSizes[i]), f}, nil
}

// cut is a file without its padding.
type cut struct {
	*io.SectionReader
	io.Closer
}

// errBroken: the file is not whole.
var errBroken = errors.New("record is not whole")

// maxRecord bounds what is read into memory: a descriptor and its System.
const maxRecord = 256 << 20

func (l *Ledger) put(ctx context.Context, name string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	w, err := l.Shelf.Create(ctx, name)
	if err != nil {
		return err
	}
	_, err = w.Write(append(fmt.Appendf(nil, "%s %d %x\n", magic, len(body), sum), body...))
	return errors.Join(err, w.Close())
}

func (l *Ledger) get(ctx context.Context, name string, v any) error {
	f, err := l.Shelf.Open(ctx, name)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, min(f.Size(), 128))
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	line, _, ok := bytes.Cut(head, []byte("\n"))
	fields := strings.Fields(string(line))
	if !ok || len(fields) != 4 || fields[0]+" "+fields[1] != magic {
		return errBroken
	}
	n, err := strconv.ParseInt(fields[2], 10, 64)
	start := int64(len(line) + 1)
	if err != nil || n < 0 || n > maxRecord || start+n > f.Size() {
		return errBroken
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(f, start, n), body); err != nil {
		return err
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != fields[3] {
		return errBroken
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
