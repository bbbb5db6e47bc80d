package vctest

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

const nfcPrefix = "/nfc/"

// content is a file that a lease gives or takes.
type content struct {
	key      string // of the device: /VirtualLsiLogicController0:0
	named    string // what the lease calls it: that behind the machine
	file     object.DatastorePath
	disk     bool
	capacity int64

	device     int32 // its key
	controller int32 // that of its controller
	unit       int32
}

// stored is where the content of a datastore's file lies: the simulator keeps
// a disk's descriptor only, so what was uploaded lies beside it.
func (v *VCenter) stored(p object.DatastorePath) (string, error) {
	for _, e := range v.model.Map().All("Datastore") {
		ds := e.(*simulator.Datastore)
		if ds.Name != p.Datastore {
			continue
		}
		place := filepath.Join(ds.Summary.Url, filepath.FromSlash(p.Path)) + ".nfc"
		if _, err := os.Stat(filepath.Dir(place)); err == nil { // each datacenter may have one of that name
			return place, nil
		}
	}
	return "", fmt.Errorf("no datastore %s with the folder of %s", p.Datastore, p.Path)
}

// ServeHTTP is the NFC server of a host: POST takes a disk's streamOptimized
// file, PUT any other one, GET gives them.
func (v *VCenter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, nfcPrefix), "/")
	l := v.lease(id)
	if !ok || l == nil {
		http.Error(w, "no lease", http.StatusNotFound)
		return
	}
	c, ok := l.files[name]
	if !ok {
		http.Error(w, "no such file in the lease", http.StatusNotFound)
		return
	}
	v.mu.Lock()
	hook := v.nfc
	v.mu.Unlock()
	if hook != nil {
		if status := hook(r.Method, name); status != 0 {
			http.Error(w, "not now", status)
			return
		}
	}
	place, err := v.stored(c.file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	switch {
	case r.Method == http.MethodGet && !l.isImport:
		err = v.give(sending{w, v}, c, place)
	case l.isImport && (r.Method == http.MethodPost && c.disk || r.Method == http.MethodPut && !c.disk && r.Header.Get("Overwrite") == "t"):
		err = v.take(l, c, place, r.Body)
		if err == nil {
			w.WriteHeader(http.StatusCreated)
		}
	default:
		http.Error(w, "method", http.StatusMethodNotAllowed)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (v *VCenter) take(l *lease, c content, place string, body io.Reader) error {
	body = &counted{Reader: body, v: v, began: time.Now()}
	sum := sha1.New()
	var n int64
	var err error
	if v.opts.Discard {
		n, err = io.Copy(sum, body)
	} else {
		f, createErr := os.Create(place)
		if createErr != nil {
			return createErr
		}
		defer f.Close()
		n, err = io.Copy(io.MultiWriter(f, sum), body)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		os.Remove(place) // the machine is gone
		return fmt.Errorf("the lease has ended")
	}
	l.sums[c.named] = types.HttpNfcLeaseManifestEntry{Key: c.named, Sha1: hex.EncodeToString(sum.Sum(nil)), Size: n, Disk: c.disk}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files[c.file.String()] = n
	return nil
}

// At calls f once, when that many more bytes of uploads have arrived.
func (v *VCenter) At(bytes int64, f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.taken.call(bytes, f)
}

// AtSent calls f once, when that many more bytes of files have been sent.
func (v *VCenter) AtSent(bytes int64, f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.given.call(bytes, f)
}

// tally counts bytes, and calls a function once when there are as many as that.
type tally struct {
	bytes, at int64
	then      func()
}

// call has f called after that many bytes more.
func (y *tally) call(bytes int64, f func()) { y.at, y.then = y.bytes+bytes, f }

// add counts n bytes and gives what is to be called now, which may be nil.
func (y *tally) add(n int) (f func()) {
	if y.bytes += int64(n); y.bytes >= y.at {
		f, y.then = y.then, nil
	}
	return f
}

// counted counts what arrives.
type counted struct {
	io.Reader
	v     *VCenter
	n     int64
	began time.Time
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	if link := c.v.opts.Link; link > 0 {
		time.Sleep(time.Duration(float64(c.n)/float64(link)*float64(time.Second)) - time.Since(c.began))
	}
	c.v.mu.Lock()
	f := c.v.taken.add(n)
	c.v.mu.Unlock()
	if f != nil {
		f()
	}
	return n, err
}

// give sends a file without telling its size first, as a host does. A disk
// that never had content is one of zeros.
func (v *VCenter) give(w http.ResponseWriter, c content, place string) error {
	f, err := os.Open(place)
	if err == nil {
		defer f.Close()
		_, err = io.Copy(chunked{w}, f)
		return err
	}
	if !c.disk {
		return err
	}
	_, err = vmdk.Encode(context.Background(), raw.New(zeros{}, c.capacity), chunked{w}, vmdk.EncodeOptions{})
	return err
}

type chunked struct{ http.ResponseWriter }

func (c chunked) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	return n, err
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// sending counts what goes out.
type sending struct {
	http.ResponseWriter
	v *VCenter
}

func (s sending) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s sending) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p)
	s.v.mu.Lock()
	f := s.v.given.add(n)
	s.v.mu.Unlock()
	if f != nil {
		f()
	}
	return n, err
}

// Sent is how many bytes of files were sent so far.
func (v *VCenter) Sent() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.given.bytes
}

// Uploaded is how many bytes of each file were taken, by datastore path.
func (v *VCenter) Uploaded() map[string]int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := map[string]int64{}
	for k, n := range v.files {
		out[k] = n
	}
	return out
}

// NFC sets what answers instead of the NFC server: a status, or 0 to go on.
func (v *VCenter) NFC(f func(method, file string) int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.nfc = f
}

// SetNVRAM gives the firmware of a machine its variables. They lie on the
// machine's datastore; leases of exports have them too when lease is set.
func (v *VCenter) SetNVRAM(machine string, content []byte, lease bool) error {
	vm := v.machineNamed(machine)
	if vm == nil || vm.LayoutEx == nil {
		return fmt.Errorf("no machine %s", machine)
	}
	for _, f := range vm.LayoutEx.File {
		var p object.DatastorePath
		if f.Type != string(types.VirtualMachineFileLayoutExFileTypeNvram) || !p.FromString(f.Name) {
			continue
		}
		place, err := v.stored(p)
		if err != nil {
			return err
		}
		if !lease {
			return os.WriteFile(strings.TrimSuffix(place, ".nfc"), content, 0o600)
		}
		v.mu.Lock()
		v.nvram[vm.Self] = p
		v.mu.Unlock()
		return os.WriteFile(place, content, 0o600)
	}
	return fmt.Errorf("machine %s has no NVRAM in its layout", machine)
}

// SetDisk gives disk n of a machine, from 0, another content, as a guest that
// has been at work would; what img does not reach is zero.
func (v *VCenter) SetDisk(machine string, n int, img disk.Image) error {
	c, err := v.diskOf(machine, n)
	if err != nil {
		return err
	}
	place, err := v.stored(c.file)
	if err != nil {
		return err
	}
	if img.Size() > c.capacity {
		return fmt.Errorf("%d bytes do not fit into %d", img.Size(), c.capacity)
	}
	f, err := os.Create(place)
	if err != nil {
		return err
	}
	_, err = vmdk.Encode(context.Background(), grown{img, c.capacity}, f, vmdk.EncodeOptions{})
	return errors.Join(err, f.Close())
}

// grown is an image with zeros behind its end.
type grown struct {
	disk.Image
	size int64
}

func (g grown) Size() int64 { return g.size }

func (g grown) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < g.Image.Size() {
		if _, err := g.Image.ReadAt(p[:min(int64(len(p)), g.Image.Size()-off)], off); err != nil && err != io.EOF {
			return 0, err
		}
	}
	return len(p), nil
}

func (g grown) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		if end := min(off+n, g.Image.Size()); off < end {
			for e, err := range g.Image.Extents(ctx, off, end-off) {
				if !yield(e, err) || err != nil {
					return
				}
			}
			n -= end - off
			off = end
		}
		if n > 0 {
			yield(disk.Extent{Offset: off, Length: n, Zero: true}, nil)
		}
	}
}
