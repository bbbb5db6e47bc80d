package migrate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/relay"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/check"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// ImportOptions are those of ImportPackage. Zero values are the defaults that
// Options has.
type ImportOptions struct {
	Name          string // default: the package's
	Nets, Storage map[string]string
	Controllers   map[string]string // as in Options
	MAC           string
	Properties    map[string]string
	Configuration string
	IfExists      IfExists
	PowerOn       bool
	// Allow, Deny and Strict are as in Options.
	Allow, Deny []string
	Strict      bool
	// Template makes a SystemTemplate of the package (5.13.5.1) instead of a System.
	Template bool
	// Manifest says what the package's digests are worth; zero: verify.
	Manifest manifest.Policy
	Relay    RelayOptions
	// ParallelDisks is as in Options; default 1.
	ParallelDisks int
	// Bandwidth is how many bytes a second are read of the package, and the
	// cloud's own limit holds too; 0: any.
	Bandwidth    int64
	StallTimeout time.Duration // default 60 s
	Events       func(Event)
}

// ImportResult is the document of the import and export commands.
type ImportResult struct {
	System   string        `json:"system"`
	ID       string        `json:"id"`
	Skipped  bool          `json:"skipped,omitempty"`
	Findings []ovf.Finding `json:"findings"`
}

// ImportPackage makes a System of a package: in process where the cloud is
// here, else the cloud fetches it from us at a one-time URL. The package is
// read once. All or nothing: after an error the cloud holds nothing of it.
// The package is closed in any case.
func ImportPackage(ctx context.Context, pkg ovf.Package, d Endpoint, o ImportOptions) (*ImportResult, error) {
	defer pkg.Close()
	def(&o.MAC, "keep")
	def(&o.IfExists, ExistsFail)
	if o.StallTimeout <= 0 {
		o.StallTimeout = time.Minute
	}
	name := o.Name
	if c, ok := pkg.Envelope().Content(); ok {
		def(&name, c.Title())
	}
	res := &ImportResult{System: name, Findings: []ovf.Finding{}}
	if err := importValues(pkg.Envelope(), o); err != nil {
		return res, err
	}
	if _, _, err := rearrange(pkg.Envelope(), o.Controllers); err != nil {
		return res, refuse(StepPlan, PackageSide, pkg.Name(), err, "")
	}
	described, err := packageFindings(ctx, pkg, o)
	if res.Findings = append(res.Findings, described...); err != nil {
		return res, err
	}
	var before []string
	if !o.Template {
		var skip bool
		var err error
		if before, skip, err = res.importName(ctx, d, &name, o); err != nil {
			return res, err
		}
		if res.System = name; skip {
			res.ID, res.Skipped = before[0], true
			return res, nil
		}
		if err := importNetworks(ctx, pkg.Envelope(), d, o); err != nil {
			return res, err
		}
	}
	choice := importChoice{Nets: o.Nets, Storage: o.Storage, MAC: o.MAC, Configuration: o.Configuration, Controllers: o.Controllers, Properties: o.Properties}
	if o.Name != "" || o.IfExists == ExistsRename {
		choice.Name = name
	}
	if !o.Template {
		t, err := readTarget(ctx, d)
		if err != nil {
			return res, at(StepPlan, Destination, d.Name, err)
		}
		choice.ParallelDisks = min(o.ParallelDisks, int(t.importCapability(cimi.CapabilityParallelDisks)))
		if t.capable("System", cimi.CapabilityUniqueName) {
			choice.Unique, choice.Before = name, before
		}
	}
	i := &oneImport{dst: d, opts: o, name: name, feed: newFeed(o.Events)}
	defer i.feed.close()
	i.meter = &meter{limiters: (&Limits{Bandwidth: o.Bandwidth}).throttle(nil, d), moved: func(n int) { i.passed.Add(int64(n)) }}
	i.pkg = followPackage(ctx, pkg, func(disk, file string, done, total int64) {
		i.taken.Pass(file, 0, done, total)
		i.feed.emit(Event{System: name, Disk: disk, Phase: string(StepTransfer), Done: done, Total: total})
	}, i.meter)
	job, system, err := i.run(ctx, &cimi.Action{Action: cimi.ActionImport, Common: cimi.Common{Properties: importProperties(choice)}})
	if r, ok := pkg.(ovf.Reporter); ok {
		res.note(r.Findings())
	}
	res.note(findingsOf(job, err))
	if err != nil {
		return res, err
	}
	res.ID = system
	if s, err := getSystem(ctx, d, Destination, system); err == nil && s.Name != "" {
		res.System = s.Name
	}
	if o.IfExists == ExistsReplace {
		for _, old := range before {
			if err := ensureGone(ctx, d.Provider, old); err != nil {
				res.Findings = append(res.Findings, leftFinding(old, err))
			}
		}
	}
	if o.PowerOn {
		return res, at(StepStart, Destination, system, startAt(ctx, d.Provider, system))
	}
	return res, nil
}

// note adds findings that were not known before.
func (r *ImportResult) note(findings []ovf.Finding) {
	for _, f := range findings {
		if !slices.ContainsFunc(r.Findings, func(g ovf.Finding) bool { return g.ID == f.ID && g.Object == f.Object && g.Message == f.Message }) {
			r.Findings = append(r.Findings, f)
		}
	}
}

// packageFindings are those about the descriptor that are worth an operator's
// look, and the verdict on all of them, those of the mapping included, before
// anything is read. What is merely odd does not refuse: a host refuses what it
// cannot make sense of (host.PlanImport).
func packageFindings(ctx context.Context, pkg ovf.Package, o ImportOptions) ([]ovf.Finding, error) {
	all := check.Quick(ctx, pkg)
	var worth []ovf.Finding
	for _, f := range all {
		if f.Severity != ovf.Info {
			worth = append(worth, f)
		}
	}
	// An error of the mapping is the destination's to tell.
	if _, mapped, err := systemtemplate.Read(pkg.Envelope(), systemtemplate.Options{Configuration: o.Configuration, Signed: pkg.Certificate() != nil}); err == nil {
		all = append(all, mapped...)
	}
	for _, f := range all {
		refuses := f.Severity != ovf.Info && o.Strict && !slices.Contains(o.Allow, f.ID)
		if refuses || slices.Contains(o.Deny, f.ID) {
			return worth, refuse(StepPlan, PackageSide, f.Object, fmt.Errorf("%s (%s)", f.Message, f.ID), f.Hint)
		}
	}
	return worth, nil
}

// importName decides about Systems of the same name, as planName does. A name
// that was asked for is refused when no cloud takes it; that of a package is cut
// to what clouds take, with a finding.
func (r *ImportResult) importName(ctx context.Context, d Endpoint, name *string, o ImportOptions) (before []string, skip bool, err error) {
	if o.Name == "" {
		*name = strings.Join(strings.Fields(*name), " ") // as hosts do
		if short := cut(*name); short != *name {
			r.note([]ovf.Finding{{ID: RuleName, Severity: ovf.Warning, Object: fmt.Sprintf("name %.40q", *name), Message: fmt.Sprintf("has %d bytes and is cut to %d", len(*name), len(short)), Hint: "--name NAME gives another"}})
			*name = short
		}
	}
	p := &Plan{Name: *name, System: *name, opts: Options{Destination: d, Name: *name, IfExists: o.IfExists, Allow: o.Allow}}
	if o.Name != "" {
		if err := p.planNameForm(ctx, nil); err != nil {
			return nil, false, err
		}
	}
	if err := p.planName(ctx, nil); err != nil {
		return nil, false, err
	}
	*name = p.Name
	return p.before, p.Skip, p.verdict()
}

// importNetworks refuses mappings that cannot be, as planNetworks does.
func importNetworks(ctx context.Context, env *ovf.Envelope, d Endpoint, o ImportOptions) error {
	p := &Plan{opts: Options{Destination: d, Nets: o.Nets, Allow: o.Allow, Deny: o.Deny, Strict: o.Strict}, shape: &Shape{}}
	for _, n := range env.Networks() {
		p.shape.Networks = append(p.shape.Networks, NetworkShape{Name: n.Name})
	}
	if err := p.planNetworks(ctx, nil); err != nil {
		return err
	}
	return p.verdict()
}

// importValues refuses values of properties that do not fit, and a package
// that needs values which nobody gave, as planProperties does. A template is
// given its values later.
func importValues(env *ovf.Envelope, o ImportOptions) error {
	p := &Plan{opts: Options{Properties: o.Properties, Configuration: o.Configuration, Allow: o.Allow, Deny: o.Deny, Strict: o.Strict}, env: env, refuseMissing: !o.Template}
	p.planProperties(nil)
	return p.verdict()
}

// oneImport is an import without a journal.
type oneImport struct {
	pkg    ovf.Package
	dst    Endpoint
	opts   ImportOptions
	name   string
	feed   *feed
	server *relay.Server
	taken  relay.Taken
	meter  *meter
	passed atomic.Int64 // bytes of the package that were read
	// failed is why the package could not be read to its end, where it is not its
	// reading that says so.
	failed atomic.Pointer[error]
}

func (i *oneImport) run(ctx context.Context, a *cimi.Action) (*cimi.Job, string, error) {
	var acc *cimi.Accepted
	collection, err := i.collection(ctx)
	if err != nil {
		return nil, "", at(StepImport, Destination, i.dst.Name, err)
	}
	if hand, ok := i.dst.importer(); ok {
		acc, err = hand.ImportPackage(ctx, collection, i.pkg, a)
	} else {
		if err := i.serve(ctx); err != nil {
			return nil, "", err
		}
		defer i.server.Close()
		a.Source = i.server.URL()
		acc, err = i.dst.Provider.Invoke(ctx, collection, a)
	}
	if cimi.IsConflict(err) && a.Properties[cimi.UniqueName] != "" {
		return nil, "", nameTaken(i.name, err)
	}
	if err != nil {
		return nil, "", at(StepImport, Destination, i.dst.Name, err)
	}
	job, err := i.follow(ctx, acc)
	if err != nil {
		return job, "", i.clean(ctx, acc, err)
	}
	system := acc.Location
	if system == "" && job != nil {
		if system, err = systemOfJob(ctx, i.dst.Provider, job); err != nil {
			return job, "", at(StepImport, Destination, i.dst.Name, err)
		}
	}
	return job, system, nil
}

// collection is where the package is imported.
func (i *oneImport) collection(ctx context.Context) (string, error) {
	cep, systems, err := systemsOf(ctx, i.dst)
	if !i.opts.Template {
		return systems, err
	}
	if cep == nil {
		return "", err
	}
	if href := cimi.HrefOf(cep.SystemTemplates); href != "" {
		return href, nil
	}
	return "", &Error{Class: ClassRefused, Err: errors.New("the cloud offers no SystemTemplates")}
}

func (i *oneImport) follow(ctx context.Context, acc *cimi.Accepted) (*cimi.Job, error) {
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := newWatchdog(i.opts.StallTimeout, func() int64 {
		if i.server == nil {
			return time.Now().UnixNano() // in process there is no line to stall
		}
		return i.server.Sent() + i.passed.Load()
	})
	w.ending = i.taken.Ending
	go w.run(waiting, stop)
	return follow(waiting, i.dst.Provider, acc, func(j *cimi.Job) {
		percent := cimi.IntValue(j.Progress)
		w.seen(fmt.Sprint(j.State, percent, j.StatusMessage))
		i.feed.emit(Event{System: i.name, Phase: string(StepImport), Done: percent, Total: 100})
	})
}

// clean stops what was begun and says which side failed.
func (i *oneImport) clean(ctx context.Context, acc *cimi.Accepted, cause error) error {
	interrupted := ctx.Err() != nil
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if i.server != nil {
		i.server.Close()
	}
	if i.server != nil {
		cause = mask(cause, i.server.URL(), i.pkg.Name())
	}
	err := at(StepImport, Destination, i.dst.Name, cause)
	failed := failure(i.pkg)
	if own := i.failed.Load(); own != nil {
		failed = *own
	}
	if failed != nil {
		cause = failed
	}
	switch class := ClassOf(cause); {
	case class == ClassIntegrity:
		advice := "nothing of it is in the cloud"
		// Where no digests were compared, it is a signature or a manifest that is wanting.
		var wrong *ovf.IntegrityError
		if errors.As(cause, &wrong) && wrong.Reason == "" {
			advice = "the package is damaged: fetch it again; " + advice
		}
		err = &Error{Step: StepTransfer, Side: PackageSide, Object: i.pkg.Name(), Class: class, Err: cause, Advice: advice}
	case class == ClassInvalid, failed != nil:
		err = at(StepTransfer, PackageSide, i.pkg.Name(), cause)
	}
	if interrupted {
		err = &Error{Step: StepImport, Object: i.name, Class: ClassInterrupt, Err: context.Cause(ctx)}
	}
	err = also(err, stopJob(clean, i.dst.Provider, acc.Job))
	if acc.Location != "" {
		err = also(err, ensureGone(clean, i.dst.Provider, acc.Location))
	}
	return err
}

// serve offers the package at a one-time URL.
func (i *oneImport) serve(ctx context.Context) error {
	listen, reach, err := relayAddress(i.opts.Relay, i.dst)
	if err != nil {
		return at(StepTransfer, Destination, i.dst.Name, err)
	}
	var token [20]byte
	rand.Read(token[:])
	offer, err := i.offer(ctx)
	if err != nil {
		return at(StepTransfer, PackageSide, i.pkg.Name(), err)
	}
	i.server, err = relay.Serve(relay.ServerOptions{Listen: listen, URL: reach, Token: hex.EncodeToString(token[:])}, offer)
	if err != nil {
		return &Error{Step: StepTransfer, Object: "relay", Err: err}
	}
	return nil
}

func (i *oneImport) offer(ctx context.Context) (relay.Offer, error) {
	if o, ok := i.pkg.(ovf.Opener); ok {
		content, err := relay.Archive(ctx, o, i.opts.Manifest)
		if err == nil {
			return relay.Offer{Name: "package.ova", Content: &inPieces{content, i.meter}, Size: content.Size()}, nil
		}
		if !errors.Is(err, relay.ErrUnknownSize) {
			return relay.Offer{}, err
		}
	}
	return relay.Offer{Name: "package.ova", Size: -1, Stream: func(_ context.Context, w io.Writer) error {
		out := &sink{Writer: w}
		err := relay.WriteArchive(ctx, out, i.pkg, i.opts.Manifest)
		if err != nil && !out.broken && ctx.Err() == nil {
			i.failed.CompareAndSwap(nil, &err)
		}
		return err
	}}, nil
}

// inPieces is content that is streamed in pieces that the limits let through at
// once, made of files that a meter holds back already.
type inPieces struct {
	relay.Content
	meter *meter
}

// Stream is relay.Streamer.
func (c *inPieces) Stream(ctx context.Context, off, n int64) io.ReadCloser {
	return &piecesStream{relay.Sequence(ctx, c.Content, off, n), c.meter}
}

type piecesStream struct {
	io.ReadCloser
	meter *meter
}

func (s *piecesStream) Read(p []byte) (int, error) { return s.ReadCloser.Read(s.meter.allowed(p)) }

// sink knows whether it was the writing that failed.
type sink struct {
	io.Writer
	broken bool
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	s.broken = s.broken || err != nil
	return n, err
}

// findingsOf reads what a Job noticed.
func findingsOf(job *cimi.Job, err error) []ovf.Finding {
	var failed *cimi.JobError
	if job == nil && errors.As(err, &failed) {
		job = failed.Job
	}
	if job == nil {
		return nil
	}
	return decodeFindings(job.ExtraValue(cimi.OVFFindings))
}

// Exported is a System as a package whose layout is frozen.
type Exported struct {
	System   string // name
	ID       string
	Content  cimi.Content
	Findings []ovf.Finding
}

// ExportPackage has a System exported and gives its package. Who calls writes
// it somewhere, and closes it.
func ExportPackage(ctx context.Context, src Endpoint, system string) (*Exported, error) {
	s, err := FindSystem(ctx, src, Source, system)
	if err != nil {
		return nil, err
	}
	acc, err := exportSystem(ctx, src.Provider, s.ID, &cimi.Action{Action: cimi.ActionExport}, nil)
	if err != nil {
		return nil, at(StepExport, Source, s.Name, err)
	}
	e := &Exported{System: s.Name, ID: s.ID, Findings: []ovf.Finding{}}
	if acc.Job != "" {
		// A Job that is gone already has told its findings to nobody.
		if r, err := src.Provider.Get(ctx, acc.Job, cimi.ReadOptions{}); err == nil {
			if job, ok := r.(*cimi.Job); ok {
				e.Findings = append(e.Findings, findingsOf(job, nil)...)
			}
		}
	}
	if e.Content, err = src.Provider.Open(ctx, acc.Location); err != nil {
		return nil, at(StepExport, Source, s.Name, err)
	}
	return e, nil
}

// Close releases the export.
func (e *Exported) Close() error { return e.Content.Close() }

// Package reads the export as a package, front to back, once. Digests of its
// manifest are checked as it passes.
func (e *Exported) Package(ctx context.Context) (ovf.Package, error) {
	pkg, err := relay.Open(ctx, e.Content, e.System+".ova", manifest.Verify)
	return pkg, at(StepTransfer, Source, e.System, err)
}

// WriteOVA copies the export to w as it is, byte for byte, and checks the
// digests of its manifest as it passes: w must not be committed before it has
// returned without error. progress, which may be nil, is told of bytes.
func (e *Exported) WriteOVA(ctx context.Context, w io.Writer, progress func(done, total int64)) error {
	return at(StepTransfer, Source, e.System, relay.Copy(ctx, w, e.Content, e.System+".ova", progress))
}
