package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/endpoint"
	"github.com/cimimove/cimimove/migrate"
)

// entry is an element of the document of ls.
type entry struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Type  string `json:"type"`
	State string `json:"state"`
}

func ls(ctx context.Context, c *call) (result, error) {
	for _, ordinal := range []string{"first", "last"} {
		if c.IsSet(ordinal) && c.Int(ordinal) < 1 {
			return result{}, usage("--%s counts from 1, not %d", ordinal, c.Int(ordinal))
		}
	}
	o, err := c.open(ctx, c.Args().Get(0), endpoint.Source)
	if err != nil {
		return result{}, err
	}
	cep, err := o.EntryPoint(ctx)
	if err != nil {
		return result{}, sourced(o.Name, err)
	}
	offered := collections(cep)
	entries := []entry{}
	what := c.Args().Get(1)
	if what == "" {
		entries = append(entries, offered...)
		return result{entries, func(w io.Writer) error { return entriesText(w, entries) }}, nil
	}
	id, kind := what, ""
	if !strings.Contains(what, "/") {
		id = ""
		for _, e := range offered {
			if e.Name == what {
				id, kind = e.ID, e.Type
			}
		}
		if id == "" {
			if cimi.AttributeNamed("CloudEntryPoint", what) == nil {
				return result{}, usage("%s has no collection %q; it has %s", o.Name, what, names(offered))
			}
			fmt.Fprintf(c.err, "cimimove: %s does not offer %s\n", o.Name, what)
			return result{entries, nil}, nil
		}
	}
	opts := cimi.ListOptions{First: c.Int("first"), Last: c.Int("last"), Filter: c.StringSlice("filter"),
		ReadOptions: cimi.ReadOptions{Select: split(c.String("select")), Expand: split(c.String("expand"))}, OrderBy: split(c.String("orderby"))}
	selected := len(opts.Select) > 0
	// What is left to select here: the items of a 1.x collection only point to
	// what is asked about.
	var here []string
	if selected {
		item := strings.TrimSuffix(kind, "Collection")
		if item == "" {
			if item, err = itemOf(ctx, o, id); err != nil {
				return result{}, sourced(o.Name, err)
			}
		}
		if _, points := cimi.Unwrap(cimi.New(item)); points {
			opts.Select, here = nil, opts.Select
		} else {
			opts.Select = withEntryAttributes(opts.Select, item)
		}
	}
	found := []cimi.Resource{}
	for r, err := range cimi.All(ctx, o, id, opts) {
		if err != nil {
			return result{}, sourced(o.Name, err)
		}
		b := r.Base()
		state, _ := cimi.Value(r, "state").(string)
		found = append(found, cimi.Select(r, here))
		entries = append(entries, entry{b.ID, b.Name, r.TypeName(), state})
	}
	if !selected && len(opts.Expand) == 0 {
		return result{entries, func(w io.Writer) error { return entriesText(w, entries) }}, nil
	}
	// With $select or $expand the resources are what was asked for, beside what
	// every entry has.
	documents := []json.RawMessage{}
	for i, r := range found {
		b, err := withEntry(entries[i], r, spoken(o.Provider))
		if err != nil {
			return result{}, err
		}
		documents = append(documents, b)
	}
	return result{documents, func(w io.Writer) error {
		for _, d := range documents {
			fmt.Fprintf(w, "%s\n", d)
		}
		return nil
	}}, nil
}

// itemOf is the type of the entries of a collection.
func itemOf(ctx context.Context, p cimi.Provider, id string) (string, error) {
	r, err := p.Get(ctx, id, cimi.ReadOptions{Select: []string{"count"}})
	if err != nil {
		return "", err
	}
	c, ok := r.(*cimi.Collection)
	if !ok {
		return "", usage("%s is a %s and no collection", id, r.TypeName())
	}
	return c.Item, nil
}

// withEntryAttributes adds to what is selected of the entries of a collection
// what each of them is shown with. An id alone would be that of the
// collection, whose count tells how many pages there are.
func withEntryAttributes(names []string, item string) []string {
	names = append(names, "count", cimi.GroupName(item)+"/id", "name")
	if cimi.AttributeNamed(item, "state") != nil {
		names = append(names, "state")
	}
	return names
}

// withEntry is a resource with the members of its entry in front.
func withEntry(e entry, r cimi.Resource, v cimi.Version) (json.RawMessage, error) {
	head, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	body, err := cimi.MarshalJSONIn(r, v)
	if err != nil {
		return nil, err
	}
	all, more := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	order, err := members(head, all)
	if err != nil {
		return nil, err
	}
	rest, err := members(body, more)
	if err != nil {
		return nil, err
	}
	for _, k := range rest {
		if _, there := all[k]; !there {
			order = append(order, k)
			all[k] = more[k]
		}
	}
	return joined(order, all), nil
}

// collections are those of an entry point, in the order of the standard, and
// after them those of the cloud's own.
func collections(cep *cimi.CloudEntryPoint) []entry {
	var out []entry
	for _, a := range cimi.Attributes("CloudEntryPoint") {
		if !a.In(cimi.V2) && cep.Segments != nil {
			continue // a cloud in process has what both versions have
		}
		if ref, ok := cimi.Value(cep, a.Name).(*cimi.Ref[cimi.Collection]); ok && ref != nil && ref.Href != "" {
			out = append(out, entry{ID: ref.Href, Name: a.Name, Type: a.Item + "Collection"})
		}
	}
	for _, x := range cep.Extra {
		if href := x.Href(); href != "" {
			out = append(out, entry{ID: href, Name: x.Name})
		}
	}
	return out
}

func names(entries []entry) string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Name)
	}
	return strings.Join(out, ", ")
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// cell is a name in a table, which has a line for each: a cloud's may have
// several, or tabs.
var cell = strings.NewReplacer("\n", " ", "\r", " ", "\t", " ", "\v", " ", "\f", " ")

func entriesText(w io.Writer, entries []entry) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tTYPE\tSTATE\tID")
	for _, e := range entries {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", cell.Replace(e.Name), cell.Replace(e.Type), cell.Replace(e.State), cell.Replace(e.ID))
	}
	return t.Flush()
}

func get(ctx context.Context, c *call) (result, error) {
	if _, err := c.encoder(); err != nil {
		return result{}, err
	}
	if err := c.oneForm(); err != nil {
		return result{}, err
	}
	o, err := c.open(ctx, c.Args().Get(0), endpoint.Source)
	if err != nil {
		return result{}, err
	}
	id := c.Args().Get(1)
	opts := cimi.ReadOptions{Select: split(c.String("select")), Expand: split(c.String("expand"))}
	remote := overWire(o.Provider)
	if c.Bool("raw") {
		if remote == nil {
			return result{}, usage("--raw shows what came over the wire; %s is not on a network", o.Name)
		}
		format := ""
		if c.IsSet("format") {
			format = c.String("format")
		}
		var body []byte
		err := byName(ctx, o, id, func(id string) (err error) {
			body, _, err = remote.Raw(ctx, id, format, opts)
			return err
		})
		if err != nil {
			return result{}, err
		}
		_, err = c.out.Write(body)
		return result{}, err
	}
	var r cimi.Resource
	err = byName(ctx, o, id, func(id string) (err error) {
		r, err = o.Get(ctx, id, opts)
		return err
	})
	if err != nil {
		return result{}, err
	}
	version := spoken(o.Provider)
	if c.String("format") == "xml" {
		return result{}, cimi.EncodeXMLIn(c.out, r, version)
	}
	b, err := cimi.MarshalJSONIn(r, version)
	if err != nil {
		return result{}, err
	}
	return result{json.RawMessage(b), func(w io.Writer) error { return cimi.EncodeJSONIn(w, r, version) }}, nil
}

// oneForm refuses --format xml where --output promises a document of another form.
func (c *call) oneForm() error {
	if form := c.String("output"); form != "text" && c.String("format") == "xml" {
		return usage("--output %s and --format xml ask for two forms of one document", form)
	}
	return nil
}

// overWire is the client of a cloud on a network, nil for one in this process.
func overWire(p cimi.Provider) *client.Client {
	for {
		if c, ok := p.(*client.Client); ok {
			return c
		}
		w, ok := p.(interface{ Unwrap() cimi.Provider })
		if !ok {
			return nil
		}
		p = w.Unwrap()
	}
}

// spoken is the version of the standard that a cloud gives its resources in.
func spoken(p cimi.Provider) cimi.Version {
	if c := overWire(p); c != nil {
		return c.Version()
	}
	return cimi.V2
}

// byName calls get with an id; where the cloud has nothing of that id, and it may be
// a name, with the id of the System that has the name.
func byName(ctx context.Context, o *endpoint.Opened, id string, get func(id string) error) error {
	err := get(id)
	if err == nil {
		return nil
	}
	if !cimi.IsNotFound(err) || strings.Contains(id, "/") { // ids of single resources have one
		return sourced(o.Name, err)
	}
	s, named := migrate.FindSystem(ctx, migrate.Endpoint{Name: o.Name, Provider: o.Provider}, migrate.Source, id)
	switch {
	case named == nil:
		err = get(s.ID)
	case errors.Is(named, migrate.ErrAmbiguous):
		return named
	}
	if err == nil {
		return nil
	}
	return sourced(o.Name, err)
}

func sourced(name string, err error) error {
	return &migrate.Error{Side: migrate.Source, Object: name, Err: err}
}
