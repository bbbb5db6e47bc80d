package runbook

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"text/template"
)

// Select names the Systems of a source by what they are; what is given must
// all hold. CSV is a list of Systems in a file instead.
type Select struct {
	Filter  string            `yaml:"filter,omitempty" jsonschema:"description=A CIMI $filter that the source answers such as state='STOPPED'"`
	Name    string            `yaml:"name,omitempty" jsonschema:"description=Pattern of names such as app-*"`
	Tag     map[string]string `yaml:"tag,omitempty" jsonschema:"description=Properties that the System has; a value may be a pattern"`
	Exclude []string          `yaml:"exclude,omitempty" jsonschema:"description=Patterns of names that are left out"`
	CSV     string            `yaml:"csv,omitempty" jsonschema:"description=File of Systems; its first line names the columns: system and also name, wave, source, destination, net.NAME, storage.DISK, prop.KEY, and so on"`
}

func (s *Select) check() error {
	if s.CSV != "" {
		if s.Filter != "" || s.Name != "" || len(s.Tag) > 0 || len(s.Exclude) > 0 {
			return errors.New("csv stands alone")
		}
		return nil
	}
	if s.Filter == "" && s.Name == "" && len(s.Tag) == 0 {
		return errors.New("it says nothing; name: \"*\" selects all")
	}
	patterns := append([]string{s.Name}, s.Exclude...)
	for _, v := range s.Tag {
		patterns = append(patterns, v)
	}
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("%q is no pattern", p)
		}
	}
	return nil
}

// Found is a System that a cloud lists.
type Found struct {
	ID, Name   string
	Properties map[string]string
}

// Matches tells whether a System is selected; the filter is the cloud's.
func (s *Select) Matches(f Found) bool {
	// A slash is a letter like others: "*" stands for any name.
	flat := strings.NewReplacer("/", "\x00")
	match := func(pattern, v string) bool {
		ok, err := path.Match(flat.Replace(pattern), flat.Replace(v))
		return ok && err == nil
	}
	if s.Name != "" && !match(s.Name, f.Name) || slices.ContainsFunc(s.Exclude, func(p string) bool { return match(p, f.Name) }) {
		return false
	}
	for k, pattern := range s.Tag {
		v, ok := f.Properties[k]
		if !ok || !match(pattern, v) {
			return false
		}
	}
	return true
}

// Lister gives the Systems of a source, by the runbook's name of it, that a
// $filter (empty: all) selects.
type Lister func(ctx context.Context, source, filter string) ([]Found, error)

// Expand puts the Systems that sources list in the place of selections, in
// their order. A System that the runbook also names stays where it is named,
// and one that several selections match belongs to the first. It fails when a
// selection matches nothing at all.
func (r *Runbook) Expand(ctx context.Context, list Lister) error {
	if !slices.ContainsFunc(r.Items, func(i Item) bool { return i.Select != nil }) {
		return nil
	}
	type place struct{ source, system string }
	named := map[place]bool{}
	for _, i := range r.Items {
		if i.Select == nil {
			named[place{i.Source, i.System}] = true
		}
	}
	taken := map[place]bool{}
	var items []Item
	for _, i := range r.Items {
		if i.Select == nil {
			items = append(items, i)
			continue
		}
		found, err := list(ctx, i.Source, i.Select.Filter)
		if err != nil {
			return err
		}
		names := map[string]int{}
		for _, f := range found {
			names[f.Name]++
		}
		matched := 0
		for _, f := range found {
			if !i.Select.Matches(f) {
				continue
			}
			matched++
			item := i
			item.Select, item.System = nil, f.Name
			if f.Name == "" || names[f.Name] > 1 {
				item.System = f.ID
			}
			p := place{i.Source, item.System}
			if named[p] || named[place{i.Source, f.ID}] || taken[p] {
				continue
			}
			taken[p] = true
			item.named(f.Name, r.Vars, len(items))
			items = append(items, item)
		}
		if matched == 0 {
			return fmt.Errorf("%s:%d: %w: the selection matches no System of %s (it lists %d)", i.File, i.Line, ErrInvalid, i.Source, len(found))
		}
	}
	r.Items = items
	return checkAfter(r)
}

// checkAfter refuses items that wait for what is not there, or in a circle.
func checkAfter(r *Runbook) error {
	selections := slices.ContainsFunc(r.Items, func(i Item) bool { return i.Select != nil })
	index := map[string][]int{}
	for n, i := range r.Items {
		index[i.System] = append(index[i.System], n)
	}
	state := make([]int, len(r.Items)) // 1: being looked at, 2: done
	var visit func(n int) error
	visit = func(n int) error {
		i := r.Items[n]
		if state[n] == 1 {
			return fmt.Errorf("%s:%d: %w: system %s waits for itself", i.File, i.Line, ErrInvalid, i.System)
		}
		if state[n] == 2 {
			return nil
		}
		state[n] = 1
		for _, a := range i.After {
			if len(index[a]) == 0 && !selections {
				return fmt.Errorf("%s:%d: %w: system %s is after %q, which is not in the runbook", i.File, i.Line, ErrInvalid, i.System, a)
			}
			for _, m := range index[a] {
				if err := visit(m); err != nil {
					return err
				}
			}
		}
		state[n] = 2
		return nil
	}
	for n := range r.Items {
		if err := visit(n); err != nil {
			return err
		}
	}
	return nil
}

// naming parses a name that is a template; nil without one.
func naming(name string) (*template.Template, error) {
	if !strings.Contains(name, "{{") {
		return nil, nil
	}
	return template.New("name").Option("missingkey=error").Funcs(template.FuncMap{
		"lower": strings.ToLower, "upper": strings.ToUpper,
		"replace":    func(from, to, s string) string { return strings.ReplaceAll(s, from, to) },
		"trimPrefix": func(p, s string) string { return strings.TrimPrefix(s, p) },
		"trimSuffix": func(p, s string) string { return strings.TrimSuffix(s, p) },
	}).Parse(name)
}

// checkNaming tries a name on some System: a field that no System has would
// stand in the name of every one. Variables are looked at elsewhere.
func checkNaming(name string) error {
	t, err := naming(name)
	if t == nil || err != nil {
		return err
	}
	err = t.Execute(io.Discard, (&Item{}).fields(strings.Repeat("system-", 20), nil, 0))
	if err != nil && strings.Contains(err.Error(), "no entry for key") && !strings.Contains(err.Error(), "<.Vars.") && !strings.Contains(err.Error(), "<$.Vars.") {
		return err
	}
	return nil
}

// fields are what the template of a name may say.
func (i *Item) fields(system string, vars map[string]string, n int) map[string]any {
	return map[string]any{"System": system, "Wave": i.Wave, "Source": i.Source, "Destination": i.Destination, "Index": n + 1, "Vars": vars}
}

func (i *Item) name(vars map[string]string, n int) { i.named(path.Base(i.System), vars, n) }

// named makes the name at the destination; the template has been checked. One
// that fails on this System keeps its text, which the plan then shows.
func (i *Item) named(system string, vars map[string]string, n int) {
	t, err := naming(i.Name)
	if t == nil || err != nil {
		return
	}
	var out strings.Builder
	if t.Execute(&out, i.fields(system, vars, n)) == nil {
		i.Name = out.String()
	}
}

// maxRows bounds a list.
const maxRows = 1 << 20

// readList reads the Systems of a CSV file; what a row does not say is the item's.
func readList(file string, item Item) ([]Item, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := &io.LimitedReader{R: f, N: maxSize + 1}
	r := csv.NewReader(in)
	r.TrimLeadingSpace, r.Comment = true, '#'
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: no line of column names: %w", file, err)
	}
	if len(head) > 0 {
		head[0] = strings.TrimPrefix(head[0], "\ufeff")
	}
	for n, name := range head {
		head[n] = strings.TrimSpace(name)
		if known, _ := column(&Item{}, head[n], ""); !known {
			return nil, fmt.Errorf("%s: column %q is not known", file, name)
		}
		if slices.Contains(head[:n], head[n]) {
			return nil, fmt.Errorf("%s: column %q stands twice", file, head[n])
		}
	}
	if !slices.Contains(head, "system") {
		return nil, fmt.Errorf("%s: no column is called system", file)
	}
	var out []Item
	for {
		row, err := r.Read()
		if in.N == 0 {
			return nil, fmt.Errorf("%s: more than %d bytes: split it into several lists", file, maxSize)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if len(out) == maxRows {
			return nil, fmt.Errorf("%s: more than %d rows", file, maxRows)
		}
		i := item
		i.Select = nil
		i.Net, i.Storage, i.Controllers, i.Properties = merge(item.Net, nil), merge(item.Storage, nil), merge(item.Controllers, nil), merge(item.Properties, nil)
		i.File = file
		i.Line, _ = r.FieldPos(0)
		for n, v := range row {
			if v = strings.TrimSpace(v); v != "" {
				if _, err := column(&i, head[n], v); err != nil {
					return nil, fmt.Errorf("%s:%d: %s: %w", file, i.Line, head[n], err)
				}
			}
		}
		if i.System == "" {
			return nil, fmt.Errorf("%s:%d: names no system", file, i.Line)
		}
		out = append(out, i)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: lists no systems", file)
	}
	return out, nil
}

// column sets what a column of a list names, and tells whether it is known.
func column(i *Item, name, v string) (known bool, err error) {
	fields := map[string]*string{"system": &i.System, "name": &i.Name, "wave": &i.Wave, "source": &i.Source, "destination": &i.Destination,
		"mac": &i.MAC, "verify": &i.Verify, "via": &i.Via, "stage": &i.Stage, "ifExists": &i.IfExists, "onFailure": &i.OnFailure}
	if to, ok := fields[name]; ok {
		*to = v
		return true, nil
	}
	kind, key, _ := strings.Cut(name, ".")
	if key == "" {
		if name == "after" {
			i.After = strings.Fields(v)
			return true, nil
		}
		if to, ok := map[string]*bool{"powerOn": &i.PowerOn, "warm": &i.Warm}[name]; ok {
			if *to = slices.Contains([]string{"true", "yes", "1"}, v); !*to && !slices.Contains([]string{"false", "no", "0", ""}, v) {
				err = fmt.Errorf("%q is neither true nor false", v)
			}
			return true, err
		}
		return false, nil
	}
	set := func(m *map[string]string) (bool, error) {
		if *m == nil {
			*m = map[string]string{}
		}
		(*m)[key] = v
		return true, nil
	}
	switch kind {
	case "net":
		return set(&i.Net)
	case "storage":
		return set(&i.Storage)
	case "controllers":
		return set(&i.Controllers)
	case "prop":
		if i.Properties == nil {
			i.Properties = map[string]Value{}
		}
		i.Properties[key] = Value{Text: v}
		return true, nil
	}
	return false, nil
}
