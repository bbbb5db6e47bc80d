package runbook

import (
	"errors"
	"fmt"
	"io"
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
		i.Naming, i.Name = i.Name, out.String()
	}
}
