package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
)

// maxDelta is how many bytes of content a delta may hold, and how many a read
// of pages gives: in base64 they fit a request's body, whatever else is in it.
const maxDelta = 2 << 20

// openBlocks reads the content of a Volume as it is now (cimi.RelBlocks).
func (p *Provider) openBlocks(ctx context.Context, key, what, href string) (cimi.Content, error) {
	if err := p.atRest(ctx, key); err != nil {
		return nil, asError(err)
	}
	what, arg, _ := strings.Cut(what, "/")
	switch what {
	case "changed":
		return p.openChanged(ctx, key, arg, href)
	case "version":
		return p.openVersion(ctx, key, href)
	}
	open := p.host.OpenDisk
	if what == "few" {
		what, arg, _ = strings.Cut(arg, "/")
		if t, ok := p.host.(host.ChangeTracker); ok {
			open = t.OpenFew
		}
	}
	length := map[string]int{strconv.Itoa(cimi.BlockUnit): cimi.BlockSumLen, strconv.Itoa(cimi.PageUnit): cimi.PageSumLen}[arg]
	if what != "data" && (what != "sums" || length == 0) {
		return nil, notFound(href)
	}
	img, err := open(ctx, key)
	if err != nil {
		return nil, asError(err)
	}
	if what == "sums" && length == cimi.BlockSumLen && p.provesParts() {
		if c, err := p.sums.open(ctx, key, img); c != nil || err != nil {
			return c, asError(err)
		}
	}
	c, err := blocksOf(ctx, img, what, arg, length)
	if err != nil {
		return nil, errors.Join(asError(err), img.Close())
	}
	return c, nil
}

// openVersion tells the content of a Volume from that of other times, without
// reading it (cimi.RelBlocks).
func (p *Provider) openVersion(ctx context.Context, key, href string) (cimi.Content, error) {
	v, ok := p.host.(host.Versioner)
	if !ok {
		return nil, notFound(href)
	}
	version, err := v.ContentVersion(ctx, key)
	if err != nil {
		return nil, asError(err)
	}
	if version == "" {
		return nil, notFound(href)
	}
	version = etagOf(version)
	return identified{memory{bytes.NewReader([]byte(version))}, version}, nil
}

// identified is what is held in memory, with an ETag.
type identified struct {
	memory
	version string
}

func (i identified) Version() string { return i.version }

func blocksOf(ctx context.Context, img disk.Image, what, arg string, length int) (cimi.Content, error) {
	if what == "sums" {
		unit, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return nil, err
		}
		sums, err := disk.NewUnitSums(ctx, img, unit, length)
		return blockSums{UnitSums: sums, img: img, version: versionOf(img, unit)}, err
	}
	runs, err := cimi.DecodePages(arg, (img.Size()+cimi.PageUnit-1)/cimi.PageUnit, maxDelta/cimi.PageUnit)
	if err != nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "%w", err)
	}
	return &pages{img: img, runs: runs}, nil
}

// blockSums are sums as Content.
type blockSums struct {
	*disk.UnitSums
	img     disk.Image
	version string
}

// versionOf tells the sums of blocks from those of another time, where the host
// tells the content of a disk so. Those of pages have none: they are read while
// a delta is written.
func versionOf(img disk.Image, unit int64) string {
	v := imageVersion(img)
	if v == "" || unit != cimi.BlockUnit {
		return ""
	}
	return etagOf(v)
}

// etagOf is a version that holds no spaces.
func etagOf(version string) string {
	sum := sha256.Sum256([]byte(version))
	return hex.EncodeToString(sum[:16])
}

// imageVersion is that of the image, "" where it tells none.
func imageVersion(img disk.Image) string {
	if v, ok := img.(interface{ Version() string }); ok {
		return v.Version()
	}
	return ""
}

func (blockSums) Ranged() bool      { return true }
func (s blockSums) Version() string { return s.version }
func (s blockSums) Close() error    { return s.img.Close() }

// pages are some pages of a disk as Content.
type pages struct {
	img  disk.Image
	runs []cimi.PageRun
}

func (*pages) Ranged() bool    { return true }
func (*pages) Version() string { return "" }
func (p *pages) Close() error  { return p.img.Close() }

// length is how many bytes a run has: the last page of a disk may be short.
func (p *pages) length(r cimi.PageRun) int64 {
	return min((r.First+r.Count)*cimi.PageUnit, p.img.Size()) - r.First*cimi.PageUnit
}

func (p *pages) Size() (n int64) {
	for _, r := range p.runs {
		n += p.length(r)
	}
	return n
}

func (p *pages) ReadAt(b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("pages at %d: before the first", off)
	}
	for _, r := range p.runs {
		length := p.length(r)
		if off >= length {
			off -= length
			continue
		}
		if n == len(b) {
			return n, nil
		}
		part := b[n:][:min(int64(len(b)-n), length-off)]
		k, err := p.img.ReadAt(part, r.First*cimi.PageUnit+off)
		n += k
		if err != nil && (err != io.EOF || k < len(part)) {
			return n, err
		}
		off = 0
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
