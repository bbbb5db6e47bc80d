package members

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// MaxDescriptor is how many bytes a descriptor, manifest or certificate may have.
const MaxDescriptor = 64 << 20

// IsDescriptor says whether a stored file is a descriptor by its name (DSP0243 5.1).
func IsDescriptor(name string) bool {
	return strings.EqualFold(path.Ext(name), ".ovf") && !isShadow(name)
}

// isShadow: tar and zip of macOS put beside app.ovf a ._app.ovf, which holds
// attributes of the file and no text.
func isShadow(name string) bool { return strings.HasPrefix(path.Base(name), "._") }

// Within is the name of a file as seen from a folder of the package: names
// outside of it stay as they are.
func Within(folder, name string) string {
	if inside, ok := strings.CutPrefix(name, folder+"/"); ok && folder != "." {
		return inside
	}
	return name
}

// RuleSeveral: a package holds several descriptors.
const RuleSeveral = "OVF-PKG-002"

// Further is the finding for a descriptor beside the package's.
func Further(descriptor, other string) ovf.Finding {
	return ovf.Finding{ID: RuleSeveral, Severity: ovf.Warning, Object: other, Clause: "DSP0243 5.1",
		Message: fmt.Sprintf("is a second descriptor; the package is what %s says", descriptor)}
}

// Companion finds the manifest (ext ".mf") or certificate (".cert") of a
// descriptor: the sibling of the same base name (DSP0243 5.1), whatever its
// case; else the only sibling with that extension that References do not
// list, for producers that rename the descriptor and forget the manifest. What
// is named after another descriptor is that one's.
func Companion(descriptor, ext string, env *ovf.Envelope, names []string) string {
	base := strings.TrimSuffix(descriptor, path.Ext(descriptor))
	var others []string
	for _, n := range names {
		switch {
		case n == base+ext:
			return n
		case strings.EqualFold(path.Ext(n), ext) && !isShadow(n) && path.Dir(n) == path.Dir(descriptor):
			others = append(others, n)
		}
	}
	for _, n := range others {
		if strings.EqualFold(n, base+ext) {
			return n
		}
	}
	if len(others) != 1 || Referenced(env, others[0]) {
		return ""
	}
	stem := strings.TrimSuffix(others[0], path.Ext(others[0]))
	if slices.ContainsFunc(names, func(n string) bool {
		return n != descriptor && IsDescriptor(n) && strings.EqualFold(strings.TrimSuffix(n, path.Ext(n)), stem)
	}) {
		return ""
	}
	return others[0]
}

// OddlyNamed is the finding for a companion that is not named after its descriptor.
func OddlyNamed(descriptor, companion string) (ovf.Finding, bool) {
	base := strings.TrimSuffix(descriptor, path.Ext(descriptor))
	if companion == "" || strings.TrimSuffix(companion, path.Ext(companion)) == base {
		return ovf.Finding{}, false
	}
	return ovf.Finding{ID: manifest.RuleName, Severity: ovf.Warning, Object: companion,
		Message: fmt.Sprintf("is not named after the descriptor %s; taken for its companion all the same", descriptor),
		Hint:    "rename it to " + base + path.Ext(companion), Clause: "DSP0243 5.1"}, true
}

// Referenced says whether an entry of References means this stored file.
func Referenced(env *ovf.Envelope, name string) bool {
	for _, f := range env.Files() {
		if _, ok := ovf.MatchMember(f.Href, func(s string) bool { return s == name }); ok {
			return true
		}
	}
	return false
}

// ParseDescriptor parses b, naming package and descriptor in the error.
func ParseDescriptor(pkg, name string, b []byte) (*ovf.Envelope, error) {
	env, err := ovf.Parse(b)
	var d *ovf.DescriptorError
	switch {
	case err == nil:
		return env, nil
	case errors.As(err, &d) && d.Package == "":
		named := *d
		named.Package = pkg
		if named.Object == "" {
			named.Object = name
		} else {
			named.Object = name + ": " + named.Object
		}
		return nil, &named
	}
	return nil, fmt.Errorf("%s: %s: %w", pkg, name, err)
}

// ManifestOf is the name of a descriptor's manifest (DSP0243 5.1).
func ManifestOf(descriptor string) string {
	return strings.TrimSuffix(descriptor, path.Ext(descriptor)) + ".mf"
}

// Unproved is the error of a descriptor that cannot be read, or the better
// explanation: that its manifest has another digest for it.
func Unproved(pkg string, policy manifest.Policy, name string, descriptor, mf []byte, err error) error {
	c := manifest.NewChecker(pkg, policy)
	if c.SetManifest(ManifestOf(name), mf) != nil {
		return err
	}
	var integrity *ovf.IntegrityError
	if wrong := c.Check(name, descriptor); errors.As(wrong, &integrity) {
		return integrity
	}
	return err
}

// TooBig is the error for a descriptor, manifest or certificate over MaxDescriptor.
func TooBig(pkg, name string, size int64) error {
	return &ovf.DescriptorError{Package: pkg, Object: name, Offset: -1,
		Message: fmt.Sprintf("has %d bytes, the limit is %d", size, MaxDescriptor)}
}

// NoDescriptor is ovf.ErrNoDescriptor with what was found instead.
func NoDescriptor(pkg string, names []string) error {
	what := "it is empty"
	if len(names) > 0 {
		what = "it holds " + strings.Join(Shorten(names), ", ")
	}
	return &ovf.DescriptorError{Package: pkg, Offset: -1, Message: what, Clause: "5.1", Err: ovf.ErrNoDescriptor}
}

// Shorten keeps the first names of a long list.
func Shorten(names []string) []string {
	const enough = 12
	if len(names) <= enough {
		return names
	}
	return append(append([]string(nil), names[:enough]...), fmt.Sprintf("and %d more", len(names)-enough))
}

// Missing is the error for an href that no stored file answers.
func Missing(pkg string, env *ovf.Envelope, href string, names []string) *ovf.MissingFileError {
	e := &ovf.MissingFileError{Package: pkg, Href: href, Members: Shorten(names), Nearest: ovf.NearestMember(href, names)}
	for _, f := range env.Files() {
		if f.Href != href {
			continue
		}
		e.FileID = f.ID
		for _, d := range env.Disks() {
			if d.FileRef == f.ID {
				e.Disks = append(e.Disks, d.ID)
			}
		}
		break
	}
	return e
}
