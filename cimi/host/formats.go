package host

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// checkFormats looks at the beginning of each disk's file, where the package
// can be read anywhere, so that a format nobody here can read is refused before
// gigabytes have passed. A file that cannot be read, or is compressed, is left
// to Unpack, and so is one whose digest is wrong: that explains more.
func (a *Arrival) checkFormats(ctx context.Context) error {
	pkg, ok := a.pkg.(ovf.Opener)
	if !ok || len(files.Missing(pkg)) > 0 {
		return nil
	}
	for _, f := range a.pkg.Envelope().Files() {
		disks := a.content[f.ID]
		if len(disks) == 0 || f.Compressed() || f.ChunkSize > 0 {
			continue
		}
		if err := checkFormat(ctx, pkg, f, disks[0]); err != nil {
			return err
		}
	}
	return nil
}

func checkFormat(ctx context.Context, pkg ovf.Opener, f ovf.File, d *Disk) error {
	r, err := pkg.Open(ctx, f.Href)
	if err != nil {
		return nil
	}
	defer r.Close()
	source := formats.Source{Name: cleanOr(f.Href)}
	if declared, ok := formats.OfURI(d.Format); ok {
		source.Declared = declared
	}
	_, err = formats.Detect(r, r.Size(), source)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, disk.ErrUnsupported) && !errors.Is(err, disk.ErrWrongFormat):
		return nil
	case !errors.Is(err, disk.ErrUnsupported) && !proved(ctx, pkg, f, r):
		return nil
	}
	return fmt.Errorf("%s: disk %s: %w", pkg.Name(), d.OVFID, err)
}

// proved tells whether the manifest has the digest that a file has. Without a
// manifest nothing better can be said than what is wrong with the file.
func proved(ctx context.Context, pkg ovf.Opener, f ovf.File, r ovf.MemberFile) bool {
	if pkg.Manifest() == nil {
		return true
	}
	checker := manifest.NewChecker(pkg.Name(), manifest.Verify)
	if err := checker.SetManifest(pkg.Descriptor(), pkg.Manifest()); err != nil {
		return false
	}
	content := checker.Reader(f.Href, r.Size(), &cancellable{ctx, io.NewSectionReader(r, 0, r.Size())})
	_, err := io.Copy(io.Discard, content)
	return err == nil
}

type cancellable struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancellable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
