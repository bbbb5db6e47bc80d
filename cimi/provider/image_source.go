package provider

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// imageSource is what Machines are made from: disks with content, and the
// machine they are of, where that is known.
type imageSource struct {
	machine *host.Machine
	disks   []imageDisk
}

// imageDisk is a disk with content, at least size bytes large.
type imageDisk struct {
	what string // for errors
	size int64
	kb   int64 // as it was asked for, 0 where it was not
	boot bool
	fill host.Fill
}

// image is the MachineImage of a template: one that the host holds, or one
// that is fetched from where its imageLocation says. nil where there is none.
func (pl *plan) image(ctx context.Context, from *cimi.Ref[cimi.MachineImage]) (*imageSource, error) {
	if from == nil {
		return nil, nil
	}
	r, err := resolve(ctx, pl.p, "machineImage", from)
	if err != nil {
		return nil, err
	}
	if h, ok, err := pl.p.heldImage(ctx, r.ID, r.ImageLocation, "machineImages"); err != nil {
		return nil, err
	} else if ok {
		src := &imageSource{}
		for m := range h.root.AllMachines() {
			src.machine = m
		}
		for _, a := range src.machine.Attachments {
			if d := h.root.Disk(a.DiskID); d != nil {
				src.disks = append(src.disks, pl.heldDisk(d, a.Boot))
			}
		}
		return src, nil
	}
	if r.ImageLocation == "" {
		if r.ID == "" {
			return nil, nil // nothing was said
		}
		return nil, cimi.Errorf(http.StatusBadRequest, "machineImage: %s has no imageLocation", r.ID)
	}
	d, err := pl.located(ctx, "machineImage", r.ImageLocation)
	if err != nil {
		return nil, err
	}
	d.boot = true
	return &imageSource{disks: []imageDisk{*d}}, nil
}

// volumeImage is the VolumeImage of a template; nil where there is none.
func (pl *plan) volumeImage(ctx context.Context, from *cimi.Ref[cimi.VolumeImage]) (*imageDisk, error) {
	if from == nil {
		return nil, nil
	}
	r, err := resolve(ctx, pl.p, "volumeImage", from)
	if err != nil {
		return nil, err
	}
	if h, ok, err := pl.p.heldImage(ctx, r.ID, r.ImageLocation, "volumeImages"); err != nil {
		return nil, err
	} else if ok {
		d := h.disk
		if d == nil {
			d = h.root.Disks[0]
		}
		out := pl.heldDisk(d, d.Boot)
		return &out, nil
	}
	if r.ImageLocation == "" {
		if r.ID == "" {
			return nil, nil
		}
		return nil, cimi.Errorf(http.StatusBadRequest, "volumeImage: %s has no imageLocation", r.ID)
	}
	d, err := pl.located(ctx, "volumeImage", r.ImageLocation)
	if err != nil {
		return nil, err
	}
	d.boot = cimi.BoolValue(r.Bootable)
	return d, nil
}

// heldImage finds an image that the host holds: by its id, or by the location
// of its content.
func (p *Provider) heldImage(ctx context.Context, id, location, kind string) (held, bool, error) {
	w, done, err := p.look(ctx)
	if err != nil {
		return held{}, false, err
	}
	defer done()
	for _, at := range []string{id, strings.TrimSuffix(plainID(location), "/content"), plainID(location)} {
		if key, ok := strings.CutPrefix(at, kind+"/"); ok {
			if h, ok := w.find(kind, key); ok {
				return h, true, nil
			}
		}
	}
	return held{}, false, nil
}

// heldDisk copies a disk that the host holds.
func (pl *plan) heldDisk(d *host.Disk, boot bool) imageDisk {
	p := pl.p
	return imageDisk{what: "image " + d.Name, size: d.CapacityBytes, kb: d.Kilobytes, boot: boot, fill: func(ctx context.Context, to *host.Disk, sink disk.Sink) error {
		return p.copyDisk(ctx, d.ID, to, sink)
	}}
}

// copyDisk fills a disk with what another one holds.
func (p *Provider) copyDisk(ctx context.Context, from string, to *host.Disk, sink disk.Sink) (err error) {
	if err := p.proved(ctx, from); err != nil {
		return err
	}
	img, err := p.host.OpenDisk(ctx, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	return host.CopyOf(img, nil)(ctx, to, sink)
}

// located is an image at a URI, in any disk format. Its size is asked for now,
// so that what is not there, or cannot be used, is refused before anything is
// made (5.14.7.1: a HEAD tells what it is).
func (pl *plan) located(ctx context.Context, name, location string) (*imageDisk, error) {
	p := pl.p
	u, err := url.Parse(location)
	if err != nil || u.User != nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "%s: imageLocation: expected a URI without credentials", name)
	}
	src := formats.Source{Name: path.Base(u.Path)}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		if len(p.opts.AllowSources) == 0 {
			return nil, cimi.Errorf(http.StatusForbidden, "%s: imageLocation: %w: this cloud fetches from no network", name, errSourceRefused)
		}
		f, err := fetch.Open(ctx, location, fetch.Options{Client: p.client, StallTimeout: p.opts.StallTimeout})
		if err != nil {
			return nil, cimi.Errorf(http.StatusBadRequest, "%s: imageLocation: %w", name, err)
		}
		pl.close = append(pl.close, f.Close)
		if !f.Ranges() {
			return p.streamed(name, f, src)
		}
		at := f.At(context.WithoutCancel(ctx))
		if err := noPackage(at, f.Size()); err != nil {
			return nil, cimi.Errorf(http.StatusBadRequest, "%s: imageLocation: %w", name, err)
		}
		img, err := formats.Open(at, f.Size(), src)
		if err != nil {
			return nil, cimi.Errorf(http.StatusBadRequest, "%s: imageLocation: %w", name, err)
		}
		size := wholeSectors(img.Size())
		if img.Info().Format == disk.Raw {
			// It has no map, so all of it is wanted: in one go, which a server that
			// digests what it sends can follow, not in a request for each block.
			d, err := p.streamed(name, f, formats.Source{Name: src.Name, Declared: disk.Raw})
			if err == nil {
				d.size = size
			}
			return d, err
		}
		return &imageDisk{what: fetch.Redact(location), size: size, fill: host.CopyOf(img, nil)}, nil
	case "file":
		file, err := p.allowedFile(u)
		if err != nil {
			return nil, err
		}
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		pl.close = append(pl.close, f.Close)
		st, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if err := noPackage(f, st.Size()); err != nil {
			return nil, cimi.Errorf(http.StatusBadRequest, "%s: imageLocation: %w", name, err)
		}
		img, err := formats.Open(f, st.Size(), src)
		if err != nil {
			return nil, cimi.Errorf(http.StatusBadRequest, "%s: imageLocation: %w", name, err)
		}
		return &imageDisk{what: location, size: wholeSectors(img.Size()), fill: host.CopyOf(img, nil)}, nil
	}
	return nil, cimi.Errorf(http.StatusBadRequest, "%s: imageLocation: expected an image of this cloud, an http, https or file URI, got %.200q", name, location)
}

// errPackage: taken for a raw disk, it would make machines of nonsense.
var errPackage = errors.New("is a package, not the image of a disk: it is what an import takes")

// noPackage refuses a package, which an image of a machine with several disks is.
func noPackage(r io.ReaderAt, size int64) error {
	head := make([]byte, min(size, ova.HeaderSize))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	if ova.Begins(head) {
		return errPackage
	}
	return nil
}

// streamed is an image that a server sends in one go only. How large its disk
// is shows as it comes.
func (p *Provider) streamed(name string, f *fetch.File, src formats.Source) (*imageDisk, error) {
	return &imageDisk{what: f.URL(), fill: func(ctx context.Context, d *host.Disk, sink disk.Sink) error {
		r := f.Reader(ctx, 0, -1)
		defer r.Close()
		own := &growing{Sink: sink, d: d}
		head := bufio.NewReaderSize(r, disk.HeaderSize)
		if first, _ := head.Peek(ova.HeaderSize); ova.Begins(first) { // what fails shows below
			return fmt.Errorf("%s: imageLocation: %w", name, errPackage)
		}
		res, err := formats.Decode(ctx, head, src, f.Size(), own, disk.DecodeOptions{Name: name})
		if err != nil {
			return err
		}
		d.ContentBytes, d.ContentDigest = res.Digest.Size, res.Digest.String()
		return nil
	}}, nil
}

// growing is a sink that becomes as large as what comes.
type growing struct {
	disk.Sink
	d *host.Disk
}

func (g *growing) Begin(info disk.Info) error {
	if size := wholeSectors(info.Size); size > g.d.CapacityBytes {
		if size > kilobytes(maxCapacity) {
			return fmt.Errorf("an image of %d bytes: %w", info.Size, host.ErrNoSpace)
		}
		g.d.CapacityBytes = size
	}
	info.Size = g.d.CapacityBytes
	return g.Sink.Begin(info)
}

func wholeSectors(n int64) int64 { return (n + 511) &^ 511 }
