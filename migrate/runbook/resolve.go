package runbook

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// resolver joins the parts of a runbook.
type resolver struct {
	runbook  *Runbook
	windows  map[string]Window
	defaults entry
	hooks    []Hook
	retries  *Retries
}

func (r *resolver) resolve(parts []*part) (*Runbook, error) {
	rb := r.runbook
	for _, p := range parts {
		if err := r.settings(p); err != nil {
			return nil, err
		}
	}
	for _, p := range parts {
		if err := r.waves(p); err != nil {
			return nil, err
		}
	}
	main := parts[len(parts)-1]
	if err := r.order(main); err != nil {
		return nil, err
	}
	for _, p := range parts {
		if err := r.systems(p); err != nil {
			return nil, err
		}
	}
	if len(rb.Items) == 0 {
		return nil, main.at("$.systems", "lists no systems")
	}
	return rb, r.checkItems(parts)
}

// settings takes what is not about one System; later parts win.
func (r *resolver) settings(p *part) error {
	rb, f := r.runbook, p.doc
	if f.Version != Version {
		return p.at("$.version", "version is %d, this program reads %d", f.Version, Version)
	}
	for name, e := range f.Endpoints {
		if e.URL == "" {
			return p.at("$.endpoints."+name, "endpoint %s has no url", name)
		}
		if err := p.limits("$.endpoints."+name+".limits", e.Limits); err != nil {
			return err
		}
		rb.Endpoints[name] = e
	}
	for name, form := range f.Windows {
		w, err := form.window()
		if err != nil {
			return p.at("$.windows."+name, "window %s: %v", name, err)
		}
		r.windows[name] = w
	}
	if f.Defaults.System != "" || f.Defaults.Select != nil || len(f.Defaults.After) > 0 {
		return p.at("$.defaults", "a default cannot name a system")
	}
	if f.Defaults.Name != "" && !strings.Contains(f.Defaults.Name, "{{") {
		return p.at("$.defaults", "a default name is a template such as {{.System}}-moved, or all would have the same")
	}
	if err := p.limits("$.limits", f.Limits); err != nil {
		return err
	}
	if f.Limits != (Limits{}) {
		rb.Limits = f.Limits
	}
	if f.Retries != (Retries{}) {
		r.retries = &f.Retries
		rb.Retries = f.Retries
	}
	if f.OnFailure != "" {
		rb.OnFailure = f.OnFailure
	}
	if err := p.policy("$.onFailure", rb.OnFailure); err != nil {
		return err
	}
	for n, h := range f.Notify {
		path := fmt.Sprintf("$.notify[%d]", n)
		if !strings.HasPrefix(h.URL, "http://") && !strings.HasPrefix(h.URL, "https://") {
			return p.at(path, "notify needs the url of a webhook")
		}
		for _, e := range h.On {
			if !slices.Contains(notifyEvents, e) {
				return p.at(path, "notify on %q; it is one of %s", e, strings.Join(notifyEvents, ", "))
			}
		}
		if h.Secret != nil && !h.Secret.Reference() {
			return p.at(path, "a secret is referred to, {file: …}, {env: …} or {exec: […]}, never written")
		}
		rb.Notify = append(rb.Notify, h)
	}
	r.hooks = append(r.hooks, f.Hooks...)
	r.defaults = r.defaults.over(f.Defaults)
	if len(f.Window) > 0 {
		var err error
		rb.Windows, err = r.named(p, "$.window", f.Window)
		return err
	}
	return nil
}

func (r *resolver) named(p *part, path string, names Names) ([]Window, error) {
	var out []Window
	for _, n := range names {
		w, ok := r.windows[n]
		if !ok {
			return nil, p.at(path, "window %q is not among windows", n)
		}
		out = append(out, w)
	}
	return out, nil
}

func (c checker) limits(path string, l Limits) error {
	if l.Systems < 0 || l.Disks < 0 || l.Bandwidth < 0 {
		return c.at(path, "limits are not negative")
	}
	return nil
}

func (c checker) policy(path string, f OnFailure) error {
	if f != Continue && f != StopWave && f != Stop {
		return c.at(path, "onFailure is %q; it is continue, stop-wave or stop", f)
	}
	return nil
}

// waves takes the waves of a part, each after the one before it unless it says.
func (r *resolver) waves(p *part) error {
	rb := r.runbook
	for n, f := range p.doc.Waves {
		path := fmt.Sprintf("$.waves[%d]", n)
		w := Wave{Name: f.Name, Limits: f.Limits, OnFailure: f.OnFailure, Line: p.line(path)}
		if w.OnFailure == "" {
			w.OnFailure = rb.OnFailure
		}
		switch {
		case f.Name == "":
			return p.at(path, "the wave has no name")
		case slices.ContainsFunc(rb.Waves, func(o Wave) bool { return o.Name == f.Name }):
			return p.at(path, "wave %s stands twice", f.Name)
		case f.After != nil:
			w.After = *f.After
		case len(rb.Waves) > 0:
			w.After = []string{rb.Waves[len(rb.Waves)-1].Name}
		}
		if err := p.limits(path+".limits", f.Limits); err != nil {
			return err
		}
		if err := p.policy(path+".onFailure", w.OnFailure); err != nil {
			return err
		}
		var err error
		if w.Windows, err = r.named(p, path+".window", f.Window); err != nil {
			return err
		}
		rb.Waves = append(rb.Waves, w)
	}
	return nil
}

// order sorts the waves by what they are after, and refuses circles.
func (r *resolver) order(p *part) error {
	rb := r.runbook
	var sorted []Wave
	done := map[string]bool{}
	for len(sorted) < len(rb.Waves) {
		before := len(sorted)
		for _, w := range rb.Waves {
			for _, a := range w.After {
				if !slices.ContainsFunc(rb.Waves, func(o Wave) bool { return o.Name == a }) {
					return p.at("$.waves", "wave %s is after %q, which is no wave", w.Name, a)
				}
			}
			if !done[w.Name] && !slices.ContainsFunc(w.After, func(a string) bool { return !done[a] }) {
				done[w.Name] = true
				sorted = append(sorted, w)
			}
		}
		if len(sorted) == before {
			return p.at("$.waves", "the waves wait for each other in a circle")
		}
	}
	rb.Waves = sorted
	return nil
}

// systems takes the items of a part: those of waves, then the others.
func (r *resolver) systems(p *part) error {
	for n, w := range p.doc.Waves {
		path := fmt.Sprintf("$.waves[%d].systems", n)
		if w.Defaults.System != "" || w.Defaults.Select != nil {
			return p.at(fmt.Sprintf("$.waves[%d].defaults", n), "a default cannot name a system")
		}
		d := r.defaults.over(w.Defaults)
		for m, e := range w.Systems {
			e.Wave = w.Name
			if err := r.add(p, fmt.Sprintf("%s[%d]", path, m), d.over(e)); err != nil {
				return err
			}
		}
	}
	for n, e := range p.doc.Systems {
		if err := r.add(p, fmt.Sprintf("$.systems[%d]", n), r.defaults.over(e)); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) add(p *part, path string, e entry) error {
	if e.Retries == nil {
		e.Retries = r.retries
	}
	e.Hooks = slices.Concat(r.hooks, e.Hooks)
	for _, h := range e.Hooks {
		if err := h.check(); err != nil {
			return p.at(path, "%v", err)
		}
	}
	item := e.item()
	item.File, item.Line = p.name, p.line(path)
	if err := p.item(path, item, r.runbook.Endpoints); err != nil {
		return err
	}
	if e.Wave != "" && !slices.ContainsFunc(r.runbook.Waves, func(w Wave) bool { return w.Name == e.Wave }) {
		return p.at(path, "wave %q is not among waves", e.Wave)
	}
	if item.Select != nil && item.Select.CSV != "" {
		file := item.Select.CSV
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(p.name), file)
		}
		rows, err := readList(file, item)
		if err != nil {
			return p.at(path+".select.csv", "%v", err)
		}
		for _, row := range rows {
			c := p.checker
			c.row = fmt.Sprintf("%s:%d: ", file, row.Line)
			if row.Wave != "" && !slices.ContainsFunc(r.runbook.Waves, func(w Wave) bool { return w.Name == row.Wave }) {
				return c.at(path+".select.csv", "wave %q is not among waves", row.Wave)
			}
			if err := c.item(path, row, r.runbook.Endpoints); err != nil {
				return err
			}
			r.runbook.Items = append(r.runbook.Items, row)
		}
		return nil
	}
	r.runbook.Items = append(r.runbook.Items, item)
	return nil
}

// checkItems refuses what stands twice.
func (r *resolver) checkItems(parts []*part) error {
	seen := map[string]int{}
	for n := range r.runbook.Items {
		i := &r.runbook.Items[n]
		if i.Select != nil {
			continue
		}
		i.name(r.runbook.Vars, n)
		if first, twice := seen[i.Key()]; twice {
			return parts[len(parts)-1].atLine(i.File, i.Line, "system %s stands here and in line %d", i.System, first)
		}
		seen[i.Key()] = i.Line
	}
	return checkAfter(r.runbook)
}

func (c checker) atLine(file string, line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w: %s", file, line, ErrInvalid, fmt.Sprintf(format, args...))
}
