package manifest

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/cimimove/cimimove/ovf"
)

// Checker compares the stored files of one package, in the pass in which they
// are read, with its manifest. Before the manifest is known (it may come last,
// DSP0243 5.3) each file's SHA-1, SHA-256 and SHA-512 are kept and compared
// when it arrives; a manifest that comes after its files and uses another
// algorithm cannot be checked, which is an error.
//
// The entry that a manifest may have for the whole of a chunked file
// (DSP0243 7.1) is checked as well, when the chunks pass in order.
//
// Readers of different files may pass at the same time; everything else is used
// by one goroutine at a time, and when no Reader passes.
type Checker struct {
	pkg    string
	policy Policy
	mu     sync.Mutex // of what files share as they pass

	manifestName string
	manifest     *Manifest          // nil until known
	expected     []Algorithm        // what it is expected to use; nil: any of unseen
	absent       bool               // known to have none
	exact        map[string][]Entry // by name as written
	alias        map[string][]Entry // by the name decoded and normalised
	matched      map[string]bool    // entries, by name as written, whose file passed
	held         map[string]digests // files that passed before the manifest
	whole        map[string]*whole  // chunked files, by the name without chunk number
	findings     []ovf.Finding
	unlisted     int
}

// digests are the hex digests of one file.
type digests map[Algorithm]string

// NewChecker checks the package that the user calls pkg.
func NewChecker(pkg string, policy Policy) *Checker {
	if policy == "" {
		policy = Verify
	}
	return &Checker{pkg: pkg, policy: policy,
		matched: map[string]bool{}, held: map[string]digests{}, whole: map[string]*whole{}}
}

// SetManifest makes the manifest known and compares what passed before it.
// name is the manifest's own name in the package.
func (c *Checker) SetManifest(name string, b []byte) error {
	if c.policy == Ignore {
		return nil
	}
	m, err := Parse(b)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", c.pkg, name, err)
	}
	c.manifest, c.manifestName = m, name
	c.findings = append(c.findings, m.Findings...)
	c.exact, c.alias = map[string][]Entry{}, map[string][]Entry{}
	for _, e := range m.Entries {
		c.exact[e.Name] = append(c.exact[e.Name], e)
		ovf.MatchMember(e.Name, func(spelling string) bool {
			if spelling != e.Name {
				c.alias[spelling] = append(c.alias[spelling], e)
			}
			return false
		})
	}
	for _, held := range slices.Sorted(maps.Keys(c.held)) {
		if err := c.compare(held, c.held[held]); err != nil {
			return err
		}
	}
	c.held = nil
	return nil
}

// Expect makes known that a manifest will come that uses this algorithm alone,
// so that no other is computed until then. One that uses another is an error.
func (c *Checker) Expect(a Algorithm) { c.expected = []Algorithm{a} }

// NoManifest makes known that there is none.
func (c *Checker) NoManifest() error {
	c.absent, c.held = true, nil
	if c.policy == Require {
		return &ovf.IntegrityError{Package: c.pkg, File: "manifest", Reason: "there is none, and one is required"}
	}
	return nil
}

// Check compares a file that is in memory, such as the descriptor.
func (c *Checker) Check(name string, b []byte) error {
	f := c.start(name)
	f.Write(b)
	return c.pass(name, f)
}

// Finish says whether every digest of the manifest has been compared.
func (c *Checker) Finish() error {
	if c.policy == Ignore || c.absent {
		return nil
	}
	if c.manifest == nil {
		return c.NoManifest()
	}
	if err := c.finishWholes(); err != nil {
		return err
	}
	for _, e := range c.manifest.Entries {
		if c.matched[e.Name] {
			continue
		}
		if ovf.RemoteHref(e.Name) {
			continue // a file elsewhere (DSP0243 7.1), which who fetches it checks
		}
		if e.Name == c.manifestName {
			c.find(RuleSelf, e.Name, "the manifest lists itself", "")
			continue
		}
		if w := c.whole[wholeName(e.Name)]; w != nil && w.complete() {
			if err := c.compareEntry(e, w.digests()); err != nil {
				return err
			}
			continue
		}
		return &ovf.IntegrityError{Package: c.pkg, File: e.Name, Algorithm: string(e.Algorithm), Expected: e.Digest,
			Reason: "the manifest lists it, and the package does not hold it"}
	}
	return nil
}

// finishWholes compares what chunks without lines of their own rely on, also
// where a file has the name of the whole.
func (c *Checker) finishWholes() error {
	for _, base := range slices.Sorted(maps.Keys(c.whole)) {
		w := c.whole[base]
		if !w.relied {
			continue
		}
		for _, e := range c.entries(base) {
			if !w.complete() {
				return &ovf.IntegrityError{Package: c.pkg, File: e.Name, Algorithm: string(e.Algorithm), Expected: e.Digest,
					Reason: "its chunks did not come in order and complete, and the manifest lists the whole alone"}
			}
			if err := c.compareEntry(e, w.digests()); err != nil {
				return err
			}
			c.matched[e.Name] = true
		}
	}
	return nil
}

// Findings are the oddities seen so far.
func (c *Checker) Findings() []ovf.Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.findings)
}

func (c *Checker) find(id, object, message, hint string) {
	c.findings = append(c.findings, ovf.Finding{ID: id, Severity: ovf.Warning, Object: object, Message: message, Hint: hint, Clause: clause})
}

// entries are the manifest's lines for a stored file.
func (c *Checker) entries(name string) []Entry {
	if e := c.exact[name]; e != nil {
		return e
	}
	return c.alias[name]
}

// algorithms are those needed for a stored file.
func (c *Checker) algorithms(name string) []Algorithm {
	switch {
	case c.policy == Ignore || c.absent:
		return nil
	case c.manifest == nil && c.expected != nil:
		return c.expected
	case c.manifest == nil:
		return unseen
	}
	var out []Algorithm
	for _, e := range c.entries(name) {
		if !slices.Contains(out, e.Algorithm) {
			out = append(out, e.Algorithm)
		}
	}
	return out
}

// pass compares a file that was read to its end, or keeps its digests.
func (c *Checker) pass(name string, f *running) error { return c.passSums(name, f, nil) }

// passSums is pass for a file of which others have taken the digests; nil where f has.
func (c *Checker) passSums(name string, f *running, sums digests) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.policy == Ignore || c.absent {
		return nil
	}
	f.endOfChunk()
	if sums == nil {
		sums = f.digests()
	}
	if c.manifest == nil {
		c.held[name] = sums
		return nil
	}
	return c.compare(name, sums)
}

func (c *Checker) compare(name string, d digests) error {
	entries := c.entries(name)
	for _, e := range entries {
		c.matched[e.Name] = true
		if err := c.compareEntry(e, d); err != nil {
			return err
		}
	}
	if len(entries) > 0 || name == c.manifestName {
		return nil
	}
	if base, _, chunk := cutChunk(name); chunk && len(c.entries(base)) > 0 && c.whole[base] != nil {
		c.whole[base].relied = true // on the entry for the whole; see finishWholes
		return nil
	}
	if c.policy == Require {
		return &ovf.IntegrityError{Package: c.pkg, File: name, Reason: "the manifest does not list it, and a manifest of every file is required"}
	}
	if c.unlisted++; c.unlisted <= maxReports && len(c.manifest.Entries) > 0 {
		c.find(RuleUnlisted, name, "the manifest does not list it, so nothing proves it", "")
	}
	return nil
}

func (c *Checker) compareEntry(e Entry, d digests) error {
	actual, computed := d[e.Algorithm]
	if !computed {
		return &ovf.IntegrityError{Package: c.pkg, File: e.Name, Algorithm: string(e.Algorithm), Expected: e.Digest,
			Reason: fmt.Sprintf("its %s digest cannot be checked: the manifest comes after it, and before one is seen only %s are computed; use a source that can seek",
				e.Algorithm, strings.Join(names(unseen), ", "))}
	}
	if actual != e.Digest {
		return &ovf.IntegrityError{Package: c.pkg, File: e.Name, Algorithm: string(e.Algorithm), Expected: e.Digest, Actual: actual}
	}
	return nil
}

func names(as []Algorithm) []string {
	out := make([]string, len(as))
	for i, a := range as {
		out[i] = string(a)
	}
	return out
}

func hexOf(sum []byte) string { return hex.EncodeToString(sum) }

// Lists says whether the manifest, once known, has a line for a stored file.
func (c *Checker) Lists(name string) bool { return len(c.entries(name)) > 0 }
