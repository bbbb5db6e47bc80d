package provider_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
)

// machineOf asks for a machine made from an image that lies somewhere, and gives
// its id, or why there is none.
func machineOf(t *testing.T, p *provider.Provider, location string, blank ...int64) (id, why string) {
	t.Helper()
	config := &cimi.MachineConfiguration{CPU: cimi.Int(1), Memory: cimi.Int(64 << 10), Disks: []cimi.DiskConfiguration{{}}}
	for _, kb := range blank {
		config.Disks = append(config.Disks, cimi.DiskConfiguration{Capacity: cimi.Int(kb)})
	}
	acc, err := p.Create(context.Background(), "machines", &cimi.MachineCreate{Common: cimi.Common{Name: "m"}, MachineTemplate: cimi.RefBy(&cimi.MachineTemplate{
		MachineConfig: cimi.RefBy(config), MachineImage: cimi.RefBy(&cimi.MachineImage{ImageLocation: location})})})
	if err != nil {
		return "", err.Error()
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		return "", j.StatusMessage
	}
	return acc.Location, ""
}

// TestMachineImageContent: the image of a machine with one disk is that disk, by
// which any cloud makes a machine; of one with several it is a package, which
// is refused as a disk, however it comes.
func TestMachineImageContent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := bytes.Repeat([]byte("disk"), 64<<10)
	for name, b := range map[string][]byte{"own.raw": content, "app.ova": hosttest.NewSample(t, "app", 1).OVA(t)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ranges := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer ranges.Close()
	once := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := os.ReadFile(filepath.Join(dir, filepath.Base(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.Write(b)
	}))
	defer once.Close()
	p := open(t, t.TempDir(), provider.Options{AllowDirs: []string{dir}})
	for _, base := range []string{"file://" + dir, ranges.URL, once.URL} {
		if id, why := machineOf(t, p, base+"/app.ova"); id != "" || !strings.Contains(why, "package") {
			t.Errorf("%s: machine %q: %s", base, id, why)
		}
		id, why := machineOf(t, p, base+"/own.raw")
		if id == "" {
			t.Fatalf("%s: %s", base, why)
		}
		if got := captured(t, p, id); !bytes.Equal(got, content) {
			t.Errorf("%s: the image has %d bytes, want those of the disk, %d", base, len(got), len(content))
		}
	}
	id, why := machineOf(t, p, ranges.URL+"/own.raw", 1000)
	if id == "" {
		t.Fatal(why)
	}
	if got := captured(t, p, id); !bytes.Contains(got[:512], []byte(".ovf")) {
		t.Errorf("the image of two disks is no package: %q", got[:64])
	}
}

// captured is the content of an image of a machine.
func captured(t *testing.T, p *provider.Provider, machine string) []byte {
	t.Helper()
	acc, err := p.Create(context.Background(), "machineImages", &cimi.MachineImage{Type: "IMAGE", ImageLocation: machine})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, p, acc.Job)
	c, err := p.Open(context.Background(), get[*cimi.MachineImage](t, p, acc.Location).ImageLocation)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestImageWithoutRange: an image is fetched from a server that sends files in
// one go only, too.
func TestImageWithoutRange(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("disk"), 64<<10)
	once := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content)
	}))
	defer once.Close()
	p := open(t, t.TempDir(), provider.Options{})
	id, why := machineOf(t, p, once.URL+"/own.raw")
	if id == "" {
		t.Fatal(why)
	}
	disks := list(t, p, id+"/disks")
	if len(disks) != 1 || cimi.IntValue(disks[0].(*cimi.Disk).Capacity) != int64(len(content)+999)/1000 {
		t.Errorf("disks %+v", disks)
	}
}
