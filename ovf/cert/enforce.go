package cert

import (
	"context"
	"io"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// Enforce is pkg whose Next fails where the signature is not what is demanded:
// at once where manifest and certificate are known, else before it answers
// io.EOF. It is an ovf.Arranger where pkg is an ovf.Opener.
func Enforce(pkg ovf.Package, d Demand) ovf.Package {
	e := &enforced{Package: pkg, demand: d}
	if o, ok := pkg.(ovf.Opener); ok {
		return &enforcedOpener{enforced: e, Opener: o}
	}
	return e
}

type enforced struct {
	ovf.Package
	demand   Demand
	judged   bool
	findings []ovf.Finding
	err      error
}

// judge judges once manifest and certificate are known; atEnd they are.
func (e *enforced) judge(atEnd bool) error {
	if e.judged || !atEnd && (e.Certificate() == nil || e.Manifest() == nil) {
		return e.err
	}
	e.judged = true
	_, e.findings, e.err = e.demand.Judge(e.Name(), ManifestName(e.Package), e.Manifest(), e.Certificate())
	return e.err
}

// ManifestName is what the manifest of a package is called, by its descriptor.
func ManifestName(pkg ovf.Package) string {
	return strings.TrimSuffix(pkg.Descriptor(), path.Ext(pkg.Descriptor())) + ".mf"
}

func (e *enforced) Next(ctx context.Context) (*ovf.Member, error) {
	_, seeks := e.Package.(ovf.Opener)
	if err := e.judge(seeks); err != nil {
		return nil, err
	}
	m, err := e.Package.Next(ctx)
	if err == io.EOF {
		if wrong := e.judge(true); wrong != nil {
			return nil, wrong
		}
	}
	return m, err
}

func (e *enforced) Findings() []ovf.Finding {
	var all []ovf.Finding
	if r, ok := e.Package.(ovf.Reporter); ok {
		all = r.Findings()
	}
	return append(all, e.findings...)
}

// OnThisMachine says what the package says: whether reading again costs nothing.
func (e *enforced) OnThisMachine() bool {
	here, ok := e.Package.(interface{ OnThisMachine() bool })
	return ok && here.OnThisMachine()
}

type enforcedOpener struct {
	*enforced
	ovf.Opener
}

var (
	_ ovf.Reporter = (*enforced)(nil)
	_ ovf.Arranger = (*enforcedOpener)(nil)
	_ ovf.Reporter = (*enforcedOpener)(nil)
)

func (e *enforcedOpener) Name() string                                  { return e.Opener.Name() }
func (e *enforcedOpener) Descriptor() string                            { return e.Opener.Descriptor() }
func (e *enforcedOpener) Envelope() *ovf.Envelope                       { return e.Opener.Envelope() }
func (e *enforcedOpener) Manifest() []byte                              { return e.Opener.Manifest() }
func (e *enforcedOpener) Certificate() []byte                           { return e.Opener.Certificate() }
func (e *enforcedOpener) Next(ctx context.Context) (*ovf.Member, error) { return e.enforced.Next(ctx) }
func (e *enforcedOpener) Close() error                                  { return e.Opener.Close() }

// InReferencesOrder is ovf.Arranger's; without effect where pkg is none.
func (e *enforcedOpener) InReferencesOrder() {
	if a, ok := e.Opener.(ovf.Arranger); ok {
		a.InReferencesOrder()
	}
}
