package host_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// archiveOf is an OVA of one disk whose manifest stands behind the descriptor;
// wrong names the file for which it has another digest.
func archiveOf(t *testing.T, base, attributes, content, wrong string) []byte {
	t.Helper()
	descriptor := `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:id="f" ovf:href="d.img"/></References>
  <DiskSection><Info/><Disk ovf:diskId="base" ovf:fileRef="f" ovf:capacity="4096" ` + base + `/><Disk ovf:diskId="d" ovf:capacity="4096" ` + attributes + `/></DiskSection>
  <VirtualSystem ovf:id="vm"><Info/></VirtualSystem>
</Envelope>`
	var mf strings.Builder
	for name, text := range map[string]string{"app.ovf": descriptor, "d.img": content} {
		if name == wrong {
			text += " "
		}
		fmt.Fprintf(&mf, "SHA256(%s)= %x\n", name, sha256.Sum256([]byte(text)))
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range [][2]string{{"app.ovf", descriptor}, {"app.mf", mf.String()}, {"d.img", content}} {
		if err := w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1])), Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestWrongDigestFirst: a descriptor that the manifest does not vouch for is an
// integrity error, whatever mapping it would have made of it.
func TestWrongDigestFirst(t *testing.T) {
	delta, circle := `ovf:parentRef="base"`, `ovf:parentRef="d"`
	plan := func(pkg ovf.Package) error {
		_, err := host.PlanImport(context.Background(), pkg, host.ImportOptions{}, host.Capabilities{})
		return err
	}
	for name, open := range map[string]func([]byte) ovf.Package{
		"file":   func(b []byte) ovf.Package { return hosttest.Package(t, b) },
		"stream": func(b []byte) ovf.Package { return hosttest.Stream(t, bytes.NewReader(b)) },
	} {
		var integrity *ovf.IntegrityError
		if err := plan(open(archiveOf(t, "", circle, "x", "app.ovf"))); !errors.As(err, &integrity) || integrity.File != "app.ovf" {
			t.Errorf("%s: %v, want an integrity error of app.ovf", name, err)
		}
		if err := plan(open(archiveOf(t, "", delta, "x", ""))); err != nil {
			t.Errorf("%s: %v, want a delta disk taken", name, err)
		}
		for _, unsound := range []string{circle, `ovf:fileRef="f" ovf:parentRef="base"`} {
			var de *ovf.DescriptorError
			if err := plan(open(archiveOf(t, "", unsound, "x", ""))); !errors.As(err, &de) {
				t.Errorf("%s: %s: %v, want the descriptor refused", name, unsound, err)
			}
		}
	}
}

// TestFormatsFirst: a disk nobody can read is refused before anything passes,
// unless its digest tells that it is not the disk that was packed.
func TestFormatsFirst(t *testing.T) {
	noImage := strings.Repeat("no image ", 1000)
	declared := `ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"`
	if _, err := host.PlanImport(context.Background(), hosttest.Package(t, archiveOf(t, declared, "", noImage, "")), host.ImportOptions{}, host.Capabilities{}); !errors.Is(err, disk.ErrWrongFormat) && !errors.Is(err, disk.ErrUnsupported) {
		t.Errorf("plan: %v, want another format refused", err)
	}
	a, err := host.PlanImport(context.Background(), hosttest.Package(t, archiveOf(t, declared, "", noImage, "d.img")), host.ImportOptions{}, host.Capabilities{})
	if err != nil {
		t.Fatalf("plan with a wrong digest: %v, want that left to the pass", err)
	}
	var integrity *ovf.IntegrityError
	if err := a.Unpack(context.Background(), &fullStore{room: 1 << 30}); !errors.As(err, &integrity) {
		t.Errorf("unpack: %v, want an integrity error", err)
	}
}
