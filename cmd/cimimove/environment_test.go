package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/dir"
	"github.com/cimimove/cimimove/ovf/env"
)

// TestISONames: each machine has a file of its own, whatever ids are written with.
func TestISONames(t *testing.T) {
	var all []ovf.Content
	for _, id := range []string{"a/b", "a:b", "A_B", "a_b-2", "..", "machine"} {
		all = append(all, ovf.Content{ID: id})
	}
	want := map[string]string{"a/b": "a_b.iso", "a:b": "a_b-2.iso", "A_B": "A_B-3.iso", "a_b-2": "a_b-2-2.iso", "..": "machine.iso", "machine": "machine-2.iso"}
	if got := isoNames(all); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if names := slices.Compact(slices.Sorted(maps.Values(want))); len(names) != len(all) {
		t.Errorf("only %d names", len(names))
	}
}

// TestEnvironmentFiles: each machine has its own. They are bounded together; how large the
// package's other files are does not matter.
func TestEnvironmentFiles(t *testing.T) {
	folder := t.TempDir()
	var disk bytes.Buffer
	w := gzip.NewWriter(&disk)
	_, _ = w.Write(make([]byte, 1<<20))
	_ = w.Close()
	for name, content := range map[string][]byte{"disk.raw.gz": disk.Bytes(), "one": []byte("12345"), "two": []byte("6789"), "app.ovf": []byte(`<Envelope xmlns="` + ovf.NS2 + `" xmlns:ovf="` + ovf.NS2 + `">
<References><File ovf:id="one" ovf:href="one"/><File ovf:id="disk" ovf:href="disk.raw.gz" ovf:compression="gzip"/><File ovf:id="two" ovf:href="two"/></References>
<VirtualSystemCollection ovf:id="all"><Info/>
<VirtualSystem ovf:id="other"><Info/><EnvironmentFilesSection ovf:transport="iso"><Info/><File ovf:fileRef="two" ovf:path="c"/></EnvironmentFilesSection></VirtualSystem>
<VirtualSystem ovf:id="vm"><Info/><EnvironmentFilesSection ovf:transport="iso"><Info/><File ovf:fileRef="one" ovf:path="a"/><File ovf:fileRef="two" ovf:path="b"/></EnvironmentFilesSection></VirtualSystem>
<VirtualSystem ovf:id="often"><Info/><EnvironmentFilesSection ovf:transport="iso"><Info/><File ovf:fileRef="one" ovf:path="a"/><File ovf:fileRef="one" ovf:path="b"/></EnvironmentFilesSection></VirtualSystem></VirtualSystemCollection></Envelope>`)} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(most int64, machines ...int) (map[string][]env.File, error) {
		pkg, err := dir.Open(t.Context(), folder, dir.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer pkg.Close()
		var chosen []ovf.Content
		for _, i := range machines {
			chosen = append(chosen, pkg.Envelope().VirtualSystems()[i])
		}
		return environmentFiles(t.Context(), pkg, chosen, most)
	}
	found, err := read(9, 0, 1)
	want := map[string][]env.File{"vm": {{Name: "a", Content: []byte("12345")}, {Name: "b", Content: []byte("6789")}}, "other": {{Name: "c", Content: []byte("6789")}}}
	if err != nil || !reflect.DeepEqual(found, want) {
		t.Errorf("%+v, %v", found, err)
	}
	var wrong *ovf.DescriptorError
	if _, err := read(8, 0, 1); !errors.As(err, &wrong) {
		t.Errorf("9 bytes where 8 are allowed: %v", err)
	}
	if _, err := read(9, 2); !errors.As(err, &wrong) {
		t.Errorf("5 bytes twice where 9 are allowed: %v", err)
	}
}
