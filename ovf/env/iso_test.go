package env_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/kdomanski/iso9660"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/env"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// Another implementation finds the document in the image.
func TestISO(t *testing.T) {
	document := bytes.Repeat([]byte(want), 9)
	image, err := env.ISO(document, env.ISOOptions{})
	if err != nil {
		t.Fatal(err)
	}
	again, _ := env.ISO(document, env.ISOOptions{})
	if !bytes.Equal(image, again) {
		t.Error("the bytes differ the second time")
	}
	img, err := iso9660.OpenImage(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	root, err := img.RootDir()
	if err != nil {
		t.Fatal(err)
	}
	files, err := root.GetChildren()
	if err != nil || len(files) != 1 || files[0].Name() != "OVF_ENV.XML" {
		t.Fatalf("%v, %v", files, err)
	}
	if got, err := io.ReadAll(files[0].Reader()); err != nil || !bytes.Equal(got, document) {
		t.Errorf("%d bytes of %d, %v", len(got), len(document), err)
	}
}

// Joliet's name, as a tool of the system sees it.
func TestISOTool(t *testing.T) {
	image, err := env.ISO([]byte(want), env.ISOOptions{Volume: "OVF ENV"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "env.iso")
	if err := os.WriteFile(file, image, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tool := range [][]string{{"bsdtar", "-xOf", file, "ovf-env.xml"}, {"isoinfo", "-J", "-x", "/ovf-env.xml", "-i", file}, {"7z", "e", "-so", file, "ovf-env.xml"}} {
		if _, err := exec.LookPath(tool[0]); err != nil {
			continue
		}
		if out, err := exec.Command(tool[0], tool[1:]...).Output(); err != nil || string(out) != want {
			t.Errorf("%s: %v, %d bytes", tool[0], err, len(out))
		}
		return
	}
	ovftest.Missing(t, "bsdtar, isoinfo or 7z")
}

// Any descriptor gives documents and images, or an error.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(descriptor), "b", "x ${mail}")
	for _, b := range ovftest.Seeds(f, 16<<10, ".ovf") {
		f.Add(b, "", "x")
	}
	f.Fuzz(func(t *testing.T, b []byte, configuration, value string) {
		e, err := ovf.Parse(b)
		if err != nil {
			return
		}
		for i, vs := range e.VirtualSystems() {
			if i > 3 {
				break
			}
			doc, err := env.Document(vs, env.Options{Configuration: configuration, Values: map[string]string{"mail": value}})
			if err != nil {
				continue
			}
			if _, err := env.ISO(doc, env.ISOOptions{}); err != nil {
				t.Error(err)
			}
		}
	})
}
