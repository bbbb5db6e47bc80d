package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/env"
	"github.com/cimimove/cimimove/ovf/files"
)

// environments is the document of environment.
type environments struct {
	Package  string             `json:"package"`
	Machines []environmentEntry `json:"machines"`
}

type environmentEntry struct {
	System     string               `json:"system"`
	Transport  []string             `json:"transport"`
	Properties []environmentSetting `json:"properties"`
	Document   string               `json:"document,omitempty"` // XML, where no OUT was named
	Out        string               `json:"out,omitempty"`
}

type environmentSetting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// environment makes what the guest software of a machine is told (DSP0243 11):
// without OUT the documents are the result; OUT.iso and OUT.xml are files for one
// machine, any other OUT a folder with an image for each.
func environment(ctx context.Context, c *call) (result, error) {
	out := c.Args().Get(1)
	pkg, err := c.pkg(ctx, c.Args().First())
	if err != nil {
		return result{}, err
	}
	defer pkg.Close()
	values, err := c.properties()
	if err != nil {
		return result{}, err
	}
	if err := c.offered(pkg); err != nil {
		return result{}, err
	}
	machines, err := c.machines(pkg)
	if err != nil {
		return result{}, err
	}
	// The values that a user gives are checked as an import would.
	if _, err := edit.Apply(pkg.Envelope().Clone(), edit.Options{Properties: values}); err != nil {
		return result{}, cannotEdit(pkg, err)
	}
	extension := strings.ToLower(filepath.Ext(out))
	single := extension == ".iso" || extension == ".xml" || out == "-"
	if single && len(machines) != 1 {
		return result{}, usage("%s is for one machine, and the package has %d: choose with --system, or name a folder", out, len(machines))
	}
	doc := &environments{Package: pkg.Name(), Machines: []environmentEntry{}}
	opts := env.Options{Configuration: c.String("deployment-option"), Values: values, Platform: env.Platform{Kind: "cimimove", Version: build(), Locale: c.String("locale")}}
	names := isoNames(pkg.Envelope().VirtualSystems())
	var more map[string][]env.File
	if out != "" && out != "-" && extension != ".xml" {
		if more, err = environmentFiles(ctx, pkg, machines, maxEnvironmentFiles); err != nil {
			return result{}, err
		}
	}
	for _, vs := range machines {
		to := out
		if out != "" && !single {
			if err := os.MkdirAll(out, 0o755); err != nil {
				return result{}, err
			}
			to, extension = filepath.Join(out, names[vs.ID]), ".iso"
		}
		e, err := c.environmentOf(vs, opts, more[vs.ID], to, extension)
		if err != nil {
			return result{}, err
		}
		doc.Machines = append(doc.Machines, e)
	}
	if out == "-" {
		return result{}, nil // the machine's document is the result
	}
	return result{doc, doc.text}, nil
}

// machines are those that --system chooses.
func (c *call) machines(pkg ovf.Package) ([]ovf.Content, error) {
	all := pkg.Envelope().VirtualSystems()
	id := c.String("system")
	if id == "" {
		return all, nil
	}
	var ids []string
	for _, vs := range all {
		if vs.ID == id {
			return []ovf.Content{vs}, nil
		}
		ids = append(ids, vs.ID)
	}
	return nil, usage("--system: the package has no machine %q; it has %q", id, ids)
}

func (c *call) environmentOf(vs ovf.Content, opts env.Options, more []env.File, out, extension string) (environmentEntry, error) {
	e := environmentEntry{System: vs.ID, Transport: []string{}, Properties: []environmentSetting{}}
	if h, ok := vs.HardwareFor(nil); ok {
		e.Transport = append(e.Transport, h.Transport...)
	}
	settings, err := env.Properties(vs, opts)
	if err != nil {
		return e, err
	}
	secret := passwords(vs)
	for _, s := range settings {
		if secret[s.Key] {
			s.Value = ""
		}
		e.Properties = append(e.Properties, environmentSetting{s.Key, s.Value})
	}
	document, err := env.Document(vs, opts)
	if err != nil {
		return e, err
	}
	switch {
	case out == "":
		e.Document = string(document)
		return e, nil
	case out == "-":
		_, err := c.out.Write(document)
		return e, err
	case extension == ".xml":
		e.Out = out
		return e, replace(out, func(f *os.File) error { _, err := f.Write(document); return err })
	}
	image, err := env.ISO(document, env.ISOOptions{Files: more})
	if err != nil {
		return e, err
	}
	e.Out = out
	return e, replace(out, func(f *os.File) error { _, err := f.Write(image); return err })
}

// passwords are the keys whose values are not shown.
func passwords(vs ovf.Content) map[string]bool {
	out := map[string]bool{}
	all := vs.Properties()
	if p, ok := vs.Parent(); ok {
		all = append(all, p.Properties()...)
	}
	for _, p := range all {
		if p.Password {
			out[p.EnvKey()] = true
		}
	}
	return out
}

// maxEnvironmentFiles bounds what goes to guests beside their documents, in bytes.
const maxEnvironmentFiles = 256 << 20

// environmentFiles are those of EnvironmentFilesSection (OVF 2) by machine, most
// bytes at the most. A package is read once, whatever machines want of it.
func environmentFiles(ctx context.Context, pkg ovf.Package, machines []ovf.Content, most int64) (map[string][]env.File, error) {
	type place struct{ machine, path string }
	wanted := map[string][]place{} // by ovf:id of the File
	for _, vs := range machines {
		for _, f := range vs.EnvironmentFiles() {
			wanted[f.FileRef] = append(wanted[f.FileRef], place{vs.ID, f.Path})
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	out, left := map[string][]env.File{}, most
	carried := map[string]int64{} // by machine, whose medium has a file once for each path
	tooMuch := &ovf.DescriptorError{Package: pkg.Name(), Object: "EnvironmentFilesSection", Offset: -1,
		Message: fmt.Sprintf("the files for guests have more than %d bytes together, too much to carry beside the documents", most)}
	opts := files.Options{RawFile: func(f ovf.File) bool { return len(wanted[f.ID]) == 0 }}
	for content, err := range files.Contents(ctx, pkg, opts) {
		if err != nil {
			return nil, err
		}
		places := wanted[content.File.ID]
		if content.Unreferenced || len(places) == 0 {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(content, left+1))
		if err != nil {
			return nil, err
		}
		if left -= int64(len(b)); left < 0 {
			return nil, tooMuch
		}
		for _, p := range places {
			if carried[p.machine] += int64(len(b)); carried[p.machine] > most {
				return nil, tooMuch
			}
			out[p.machine] = append(out[p.machine], env.File{Name: p.path, Content: b})
		}
	}
	return out, nil
}

// isoNames are the names of machines' files, by id, no two alike: what no file
// may be called can be all that tells two ids apart.
func isoNames(all []ovf.Content) map[string]string {
	out, taken, next := map[string]string{}, map[string]bool{}, map[string]int{}
	for _, vs := range all {
		base := fileNameOf(vs.ID)
		like := strings.ToLower(base)
		name := base
		for taken[strings.ToLower(name)] {
			next[like]++
			name = fmt.Sprintf("%s-%d", base, next[like]+1)
		}
		taken[strings.ToLower(name)] = true
		out[vs.ID] = name + ".iso"
	}
	return out
}

// fileNameOf is an id as a file name.
func fileNameOf(id string) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, id)
	if strings.Trim(name, ".") == "" {
		return "machine"
	}
	return name
}

func (e *environments) text(w io.Writer) error {
	for _, m := range e.Machines {
		var err error
		switch {
		case m.Out != "":
			_, err = fmt.Fprintf(w, "%s: %s\n", m.System, m.Out)
		case m.Document != "":
			_, err = io.WriteString(w, m.Document)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
