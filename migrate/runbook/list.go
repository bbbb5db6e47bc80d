package runbook

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

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
