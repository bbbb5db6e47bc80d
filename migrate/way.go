package migrate

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// Way is one of the ways that the bytes could go: whether it is taken, and why
// or why not.
type Way struct {
	Via   Via    `json:"via"`
	Taken bool   `json:"taken"`
	Why   string `json:"why"`
}

// ways is what both clouds say about the ways between them.
type ways struct {
	*Plan
	exports   bool // the source has an export of the System
	imports   bool // the destination has an import of packages
	noImport  string
	systems   string // the destination's collection
	inProcess bool   // packages are handed over
	reach     string // where the destination is asked what it reaches; empty where it cannot be
}

// planWay picks how the bytes go: what was asked for, else the shortest way
// that both clouds support. It says of every way why.
func (p *Plan) planWay(ctx context.Context, s *cimi.System) error {
	w := &ways{Plan: p, exports: p.exportable(s)}
	if err := w.look(ctx); err != nil {
		return err
	}
	if err := w.forbidden(ctx, s); err != nil {
		return err
	}
	asked := p.opts.Via
	taken := false
	for _, way := range []struct {
		via  Via
		may  func(context.Context) (bool, string)
		auto bool
	}{
		{ViaDirect, w.mayDirect, true}, {ViaRelay, w.mayRelay, true}, {ViaStage, w.mayStage, false}, {ViaResources, w.mayResources, true},
	} {
		if asked != ViaAuto && asked != way.via {
			p.Ways = append(p.Ways, Way{Via: way.via, Why: "another was asked for"})
			continue
		}
		if taken || asked == ViaAuto && !way.auto {
			why := "a shorter one is there"
			if !way.auto {
				why = "it is taken only when it is asked for"
			}
			p.Ways = append(p.Ways, Way{Via: way.via, Why: why})
			continue
		}
		ok, why := way.may(ctx)
		p.Ways = append(p.Ways, Way{Via: way.via, Taken: ok, Why: why})
		if ok {
			taken, p.Via, p.Why = true, way.via, why
			if way.via == ViaResources && len(p.opts.Controllers) > 0 {
				p.find(RuleController, ovf.Error, p.System, "on this way no descriptor goes along, so nothing tells the destination of controllers", "leave --controller-map out, or --via relay")
			}
		}
	}
	if !taken {
		w.none()
	}
	return nil
}

// forbidden tells a cloud that lacks an operation from one that its user is not
// allowed to use.
func (w *ways) forbidden(ctx context.Context, s *cimi.System) error {
	if src := w.opts.Source; !w.exports {
		if err := cimi.MayChange(ctx, src.Provider, s.ID); err != nil {
			return at(StepPlan, Source, src.Name, err)
		}
	}
	if dst := w.opts.Destination; !w.imports && w.systems != "" {
		if err := cimi.MayChange(ctx, dst.Provider, w.systems); err != nil {
			return at(StepPlan, Destination, dst.Name, err)
		}
	}
	return nil
}

// none refuses: no way leads from here to there.
func (w *ways) none() {
	o := w.opts
	w.Via = o.Via
	if w.Via == ViaAuto {
		w.Via = ViaRelay
	}
	if !w.exports && (w.Via == ViaRelay || w.Via == ViaDirect || w.Via == ViaStage) {
		w.find(RuleExport, ovf.Error, w.System, "the source offers no export of it", w.instead())
		return
	}
	if !w.imports && (w.Via == ViaRelay || w.Via == ViaDirect || w.Via == ViaStage) {
		w.find(RuleImport, ovf.Error, o.Destination.Name, w.noImport, w.instead())
		return
	}
	for _, way := range w.Ways {
		if way.Via == w.Via {
			w.find(RuleWay, ovf.Error, string(w.Via), way.Why, "--via auto takes the shortest way that both clouds support")
			return
		}
	}
	w.find(RuleWay, ovf.Error, string(w.Via), "no such way", "--via auto takes the shortest way that both clouds support")
}

// instead says why the way that needs no packages is not taken.
func (w *ways) instead() string {
	for _, way := range w.Ways {
		if way.Via == ViaResources {
			return "by resources: " + way.Why
		}
	}
	return ""
}

// look asks the destination what it takes.
func (w *ways) look(ctx context.Context) error {
	d := w.opts.Destination
	_, w.inProcess = d.importer()
	_, href, err := systemsOf(ctx, d)
	if errors.Is(err, ErrNoSystems) {
		w.noImport = "the destination offers no Systems"
		return nil
	}
	if err != nil {
		return at(StepPlan, Destination, d.Name, err)
	}
	c, err := d.Provider.List(ctx, href, cimi.ListOptions{First: 1, Last: 1})
	if err != nil {
		return at(StepPlan, Destination, d.Name, err)
	}
	w.imports, w.systems = c.Operation(cimi.ActionImport) != nil, href
	if !w.imports {
		w.noImport = "the destination offers no import of packages"
	}
	if o := c.Operation(cimi.RelReach); o != nil {
		w.reach = o.Href
	}
	return nil
}

// asks has the destination look whether it reaches a URL.
func (w *ways) asks(ctx context.Context, url string) (cimi.Reach, error) {
	var answer cimi.Reach
	c, err := w.opts.Destination.Provider.Open(ctx, strings.TrimSuffix(w.reach, "/")+"/"+base64.RawURLEncoding.EncodeToString([]byte(url)))
	if err != nil {
		return answer, err
	}
	defer c.Close()
	const enough = 4 << 10
	b := make([]byte, enough)
	n, err := c.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return answer, err
	}
	return answer, json.Unmarshal(b[:n], &answer)
}
