package migrate

import (
	"context"
	"fmt"
	"net/url"

	"github.com/cimimove/cimimove/cimi"
)

// mayDirect tells whether the destination can fetch the package from the source
// itself, so that nothing passes through us.
func (w *ways) mayDirect(ctx context.Context) (ok bool, why string) {
	o := w.opts
	asked := o.Via == ViaDirect
	switch {
	case !w.exports:
		return false, "the source offers no export of it"
	case !w.imports:
		return false, w.noImport
	case o.Source.URL == "":
		return false, "the source is in this process, so nobody else can fetch from it"
	case o.Destination.URL == "":
		return false, "the destination is in this process, so the bytes pass through it anyway"
	case o.Source.Login != nil && !asked:
		return false, "the destination would be given the source's credentials; --via direct does so"
	}
	if (o.Throttled || o.Source.Limits.Bandwidth > 0 || o.Destination.Limits.Bandwidth > 0) && !asked {
		return false, "a limit of bandwidth holds only what passes through us"
	}
	if name := w.withoutDigest(); name != "" && o.Verify != VerifyNone && !asked {
		return false, fmt.Sprintf("the source's cloud gives no digest of disk %s, so its bytes must pass here to be verified", name)
	}
	if w.reach == "" {
		if asked {
			return true, "the destination fetches the package from the source itself; nobody can ask it beforehand whether it gets there"
		}
		return false, "the destination cannot be asked whether it reaches the source"
	}
	answer, err := o.Survey.reach.get(o.Destination.Name+"\x1f"+o.Source.URL, func() (cimi.Reach, error) { return w.asks(ctx, o.Source.URL) })
	switch {
	case err != nil && asked:
		return true, "the destination fetches the package from the source itself; it does not say beforehand whether it gets there"
	case err != nil:
		return false, fmt.Sprintf("the destination does not say whether it reaches the source: %v", err)
	case !answer.Reachable:
		return false, "the destination does not reach the source: " + answer.Why
	}
	return true, "the destination reaches the source and fetches the package itself; nothing passes through us"
}

// withoutDigest names a disk of which the source's cloud gives no digest.
func (w *ways) withoutDigest() string {
	for i, d := range w.shape.Disks {
		if (d.Digest == "" || d.DigestSize == 0) && !w.Disks[i].Blank {
			return d.Name
		}
	}
	return ""
}

// direct is what a transfer does differently when the destination fetches from
// the source: nothing is served, and the digests are the source's own.
func (t *transfer) direct() bool { return t.Via == ViaDirect }

// fromSource points an import at the export itself.
func (t *transfer) fromSource(a *cimi.Action) error {
	var n exportNotes
	if err := t.run.notes(StepExport, &n); err != nil {
		return err
	}
	u, err := url.Parse(n.Location)
	if err != nil || !u.IsAbs() || u.Host == "" {
		return refuse(StepExport, Source, t.System, fmt.Errorf("the export lies at %s, which is no URL that another cloud can fetch from", n.Location), "--via relay")
	}
	a.Source = n.Location
	if t.src.Login == nil {
		return nil
	}
	user, password, token := t.src.Login()
	for k, v := range map[string]string{"http.user": user, "http.password": password, "http.token": token} {
		if v != "" {
			a.Properties[k] = v
		}
	}
	return nil
}

// sourceDigests are those that the source's cloud gives now that its machines
// are at rest, by diskId.
func (t *transfer) sourceDigests(ctx context.Context) (map[string]diskNote, error) {
	s, err := getSystem(ctx, t.src, Source, t.SystemID)
	if err != nil {
		return nil, err
	}
	shape, err := readShape(ctx, t.src.Provider, s)
	if err != nil {
		return nil, err
	}
	out := map[string]diskNote{}
	for _, d := range shape.Disks {
		if d.Digest != "" && d.DigestSize > 0 {
			id := d.OVFID
			def(&id, d.Name)
			out[id] = diskNote{Digest: d.Digest, Size: d.DigestSize}
		}
	}
	return out, nil
}
