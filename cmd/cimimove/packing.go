package main

import (
	"context"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/cert"
	"github.com/cimimove/cimimove/ovf/compression"
	"github.com/cimimove/cimimove/ovf/convert"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// convertOptions reads how a package is written: packingFlags.
func (c *call) convertOptions() (convert.Options, error) {
	o := convert.Options{Flatten: c.Bool("flatten"), KeepSignature: c.Bool("keep-signature")}
	if s := c.String("disk-format"); s != "" {
		f, err := diskFormat(s)
		if err != nil {
			return o, err
		}
		o.DiskFormat, o.Recompress = f, c.IsSet("compress")
	}
	switch s := c.String("file-compression"); s {
	case "", string(compression.Identity), string(compression.Gzip):
		o.Compression = compression.Format(s)
	default:
		return o, usage("--file-compression is gzip or identity, not %q", s)
	}
	if n := c.Int("compress"); c.IsSet("compress") {
		if n < 0 || n > 9 {
			return o, usage("--compress is a level from 0 to 9, not %d", n)
		}
		if o.DiskFormat == "" && o.Compression != compression.Gzip {
			o.DiskFormat, o.Recompress = disk.VMDK, true
		}
		o.Level = compressionLevel(n)
	}
	if s := c.String("sha"); s == "none" {
		o.NoManifest = true
	} else if s != "" {
		a, ok := manifest.ParseAlgorithm(s)
		if !ok {
			return o, usage("--sha is sha1, sha224, sha256, sha384, sha512 or none, not %q", s)
		}
		o.Algorithm = a
	}
	if s := c.String("chunk-size"); s != "" {
		n, err := size(s, 1)
		if err != nil {
			return o, usage("--chunk-size %q is not a size such as 2GiB", s)
		}
		if o.ChunkSize = n; n == 0 {
			o.ChunkSize = convert.JoinChunks
		}
	}
	signer, err := c.signer()
	o.Signer = signer
	if err == nil && signer != nil && o.NoManifest {
		err = usage("--sign-key: a signature is of the manifest, and --sha none writes none")
	}
	return o, err
}

// packs tells whether anything is asked of how a package is written.
func (c *call) packs() bool {
	return slices.ContainsFunc(packingFlags(), func(f cli.Flag) bool { return c.IsSet(f.Names()[0]) })
}

// signer reads --sign-key and --sign-cert; nil where neither is given.
func (c *call) signer() (*cert.Signer, error) {
	key, certificate := c.String("sign-key"), c.String("sign-cert")
	switch {
	case key == "" && certificate == "":
		return nil, nil
	case key == "" || certificate == "":
		return nil, usage("signing needs both --sign-key and --sign-cert")
	}
	s, err := cert.ReadSigner(key, certificate)
	if err != nil {
		return nil, usage("signing: %v", err)
	}
	s.Time = c.Bool("signing-time")
	if by := s.Chain[0]; !c.Bool("allow-expired") && (time.Now().Before(by.NotBefore) || time.Now().After(by.NotAfter)) {
		return nil, usage("--sign-cert: the certificate of %s is valid from %s to %s only (--allow-expired signs all the same)",
			by.Subject, by.NotBefore.Format(time.DateOnly), by.NotAfter.Format(time.DateOnly))
	}
	if cert.ForbidsSigning(s.Chain[0]) {
		return nil, usage("--sign-cert: the certificate of %s says that its key signs no packages, and verify refuses what it signs", s.Chain[0].Subject)
	}
	if a, ok := manifest.ParseAlgorithm(c.String("sha")); ok {
		s.Algorithm = a
	}
	return &s, nil
}

// editOptions reads what is changed in the descriptor: editFlags.
func (c *call) editOptions(o *convert.Options) error {
	switch v := c.String("ovf-version"); v {
	case "":
	case "1", "1.0", "1.1":
		o.Version = ovf.V1
	case "2", "2.0", "2.1":
		o.Version = ovf.V2
	default:
		return usage("--ovf-version is 1.1 or 2.0, not %q", v)
	}
	e := edit.Options{Name: c.String("name"), Configuration: c.String("deployment-option"), MAC: edit.MACPolicy(c.String("mac")),
		Remove: c.StringSlice("remove-file"), RemoveProperties: c.StringSlice("remove-prop"),
		CPUs: map[string]int{}, MemoryBytes: map[string]int64{}}
	var err error
	if e.Networks, err = c.mapping("net"); err != nil {
		return err
	}
	if e.Properties, err = c.properties(); err != nil {
		return err
	}
	if e.Controllers, err = c.mapping("controller-map"); err != nil {
		return err
	}
	for _, s := range c.StringSlice("cpus") {
		system, n := bySystem(s)
		if e.CPUs[system], err = strconv.Atoi(n); err != nil {
			return usage("--cpus takes a number, or SYSTEM=NUMBER, not %q", s)
		}
	}
	for _, s := range c.StringSlice("memory") {
		system, n := bySystem(s)
		if e.MemoryBytes[system], err = size(n, 1<<20); err != nil {
			return usage("--memory takes a size such as 4GiB, or SYSTEM=SIZE, not %q", s)
		}
	}
	for _, s := range c.StringSlice("add-prop") {
		p, err := newProperty(s)
		if err != nil {
			return err
		}
		e.AddProperties = append(e.AddProperties, p)
	}
	for _, s := range c.StringSlice("add-file") {
		f, err := addedFile(s)
		if err != nil {
			return err
		}
		o.Add = append(o.Add, f)
	}
	o.Edit = e
	return nil
}

// bySystem takes SYSTEM=VALUE apart; a value alone is for all.
func bySystem(s string) (system, value string) {
	if i := strings.LastIndexByte(s, '='); i > 0 {
		return s[:i], s[i+1:]
	}
	return "*", s
}

// newProperty reads [CLASS.]KEY[:TYPE]=VALUE. A key has no period (DSP0243 9.5),
// so the last one ends the class.
func newProperty(s string) (ovf.Property, error) {
	name, value, ok := strings.Cut(s, "=")
	key, kind, _ := strings.Cut(name, ":")
	if !ok || key == "" {
		return ovf.Property{}, usage("--add-prop takes KEY[:TYPE]=VALUE, not %q", s)
	}
	p := ovf.Property{Key: key, Type: kind, Value: value, HasValue: true, UserConfigurable: true}
	if i := strings.LastIndexByte(key, '.'); i > 0 {
		p.Class, p.Key = key[:i], key[i+1:]
	}
	return p, nil
}

// addedFile reads [ID=]PATH; the file stands under its base name.
func addedFile(s string) (convert.File, error) {
	id, name, ok := strings.Cut(s, "=")
	if !ok {
		id, name = "", s
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return convert.File{}, usage("--add-file: %v", err)
	case !info.Mode().IsRegular():
		return convert.File{}, usage("--add-file: %s is not a file", name)
	}
	href := path.Base(filepath.ToSlash(name))
	if id == "" {
		id = href
	}
	return convert.File{ID: id, Href: href, Size: info.Size(), Open: func(context.Context) (io.ReadCloser, error) { return os.Open(name) }}, nil
}

// size reads 4GiB, 4096MB, 4G (as in GiB) or a number of units.
func size(s string, unit int64) (int64, error) {
	if n := len(s); n > 1 && strings.ContainsRune("kKmMgGtT", rune(s[n-1])) {
		s += "iB"
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n < 0 || n > (1<<62)/unit {
			return 0, strconv.ErrRange
		}
		return n * unit, nil
	}
	n, err := humanize.ParseBytes(s)
	if err == nil && n > 1<<62 {
		err = strconv.ErrRange
	}
	return int64(n), err
}

// compressionLevel turns the command line's 0 (stored) to 9 into the library's.
func compressionLevel(n int) int {
	if n == 0 {
		return disk.LevelStored
	}
	return n
}

func diskFormat(s string) (disk.Format, error) {
	all := []disk.Format{disk.Raw, disk.QCOW2, disk.VMDK, disk.VMDKSparse, disk.VHD, disk.VHDX, disk.VDI}
	for _, f := range all {
		if string(f) == s {
			return f, nil
		}
	}
	return "", usage("disk format %q; it is one of %v", s, all)
}
