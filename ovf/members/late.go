package members

import (
	"context"
	"fmt"
	"slices"

	"github.com/cimimove/cimimove/ovf/manifest"
)

// own tells descriptor, manifest and certificate from other files.
func (p *Package) own(name string) bool {
	return name == p.descriptor || name != "" && (name == p.manifest || name == p.cert)
}

// companionsLast tells whether there is a manifest and only the certificate
// lies behind or beside it. What algorithm it uses is told by its size, where
// one gives just that for the names that are there.
func (p *Package) companionsLast() bool {
	if p.manifest == "" || p.list[p.index[p.manifest]].Size > MaxDescriptor {
		return false
	}
	var others []string
	for i, m := range p.list {
		if !p.own(m.Name) && i > p.index[p.manifest] {
			return false
		}
		if m.Name != p.manifest && m.Name != p.cert {
			others = append(others, m.Name)
		}
	}
	size := p.list[p.index[p.manifest]].Size
	fit := slices.DeleteFunc([]manifest.Algorithm{manifest.SHA1, manifest.SHA256, manifest.SHA512}, func(a manifest.Algorithm) bool {
		return manifest.Size(a, others...) != size
	})
	if len(fit) != 1 {
		return false // whoever wrote it, it is read first
	}
	p.checker.Expect(fit[0])
	return true
}

// finish compares what came after the files, and says whether every digest of
// the manifest was compared.
func (p *Package) finish(ctx context.Context) error {
	if !p.late {
		return p.checker.Finish()
	}
	for _, name := range []string{p.manifest, p.cert} {
		if name == "" {
			continue
		}
		if _, err := p.load(ctx, name); err != nil {
			return fmt.Errorf("%s: %s: %w", p.name, name, err)
		}
	}
	if err := p.checker.SetManifest(p.manifest, p.Manifest()); err != nil {
		return err
	}
	if err := p.check(p.cert); err != nil {
		return err
	}
	return p.checker.Finish()
}
