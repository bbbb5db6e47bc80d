package files_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// The faults of other tools, each as a case of ours. Those of clouds, jobs and
// interrupted imports (R7 to R9 for a destination, R19) are migrate's.

// readAll reads every content of a package, by href.
func readAll(t *testing.T, arg string) (map[string][]byte, error) {
	t.Helper()
	p, err := files.Open(t.Context(), arg, files.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	out := map[string][]byte{}
	for c, err := range files.Contents(t.Context(), p, files.Options{}) {
		if err != nil {
			return out, err
		}
		b, err := io.ReadAll(c)
		if err != nil {
			return out, err
		}
		out[c.File.Href] = b
	}
	return out, nil
}

// R1: an href is no pattern, may have folders, and may be URL-encoded.
// R2, R3: chunks are joined, compression is undone, apart and together.
func TestR1R2R3(t *testing.T) {
	for name, list := range map[string][]ovftest.File{
		"R1": {{Href: "d[1].vmdk", Content: content(100)}, {Href: "d1.vmdk", Content: content(101)}, {Href: "disks/d1.vmdk", Content: content(102)},
			{Href: "my%20disk.vmdk", Stored: "my disk.vmdk", Content: content(103)}},
		"R2": {{Href: "c.vmdk", Content: content(1000), ChunkSize: 300}, {Href: "d.vmdk", Content: content(600), ChunkSize: 300}},
		"R3": {{Href: "z.vmdk", Content: content(1001), Compression: "gzip"}, {Href: "both.vmdk", Content: content(2002), Compression: "gzip", ChunkSize: 300}},
	} {
		t.Run(name, func(t *testing.T) {
			s := ovftest.Spec{Files: list}
			for _, arg := range []string{s.WriteOVA(t), s.WriteFolder(t)} {
				got, err := readAll(t, arg)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range s.Files {
					if !bytes.Equal(got[f.Href], f.Content) {
						t.Errorf("%s: %d bytes, want %d", f.Href, len(got[f.Href]), len(f.Content))
					}
				}
			}
		})
	}
}

// R4: a wrong manifest is an error by default, and shows both digests.
func TestR4(t *testing.T) {
	s := ovftest.Spec{Files: []ovftest.File{{Href: "a.vmdk", Content: content(5000)}}, Flip: "a.vmdk"}
	for _, arg := range []string{s.WriteOVA(t), s.WriteFolder(t)} {
		_, err := readAll(t, arg)
		var integrity *ovf.IntegrityError
		if !errors.As(err, &integrity) || !strings.Contains(err.Error(), "a.vmdk") {
			t.Errorf("%v", err)
		}
	}
}

// R5, R11, R18: digests of every algorithm are checked here, whatever the
// version of OVF, and a missing manifest is said to be missing.
func TestR5R11R18(t *testing.T) {
	for name, algorithms := range map[string][]manifest.Algorithm{
		"R5":  {manifest.SHA1, manifest.SHA256},
		"R11": {manifest.SHA256},
		"R18": {manifest.SHA512},
	} {
		t.Run(name, func(t *testing.T) {
			for _, a := range algorithms {
				s := ovftest.Spec{Algorithm: a, Files: []ovftest.File{{Href: "a.vmdk", Content: content(5000)}}}
				if got, err := readAll(t, s.WriteOVA(t)); err != nil || !bytes.Equal(got["a.vmdk"], s.Files[0].Content) {
					t.Errorf("%v: %v", a, err)
				}
				s.Flip = "a.vmdk"
				var integrity *ovf.IntegrityError
				if _, err := readAll(t, s.WriteOVA(t)); !errors.As(err, &integrity) || integrity.File != "a.vmdk" {
					t.Errorf("%v, flipped: %v", a, err)
				}
			}
		})
	}
	t.Run("R5 without manifest", func(t *testing.T) {
		s := ovftest.Spec{NoManifest: true}
		p, err := files.Open(t.Context(), s.WriteOVA(t), files.OpenOptions{Manifest: manifest.Require})
		if err == nil {
			defer p.Close()
			for _, err = range files.Contents(t.Context(), p, files.Options{}) {
			}
		}
		if err == nil || !strings.Contains(err.Error(), "manifest") || strings.Contains(err.Error(), "nil") {
			t.Errorf("no manifest: %v", err)
		}
	})
}

// R6: an archive of three disks on a server is fetched once, not once a member:
// not more than its size and a MiB, and as a whole once at most, also of a server
// that has no Range.
func TestR6(t *testing.T) {
	s := ovftest.Spec{Name: "three", Files: []ovftest.File{{Href: "a", Content: content(3_000_000)}, {Href: "b", Content: content(3_000_001)}, {Href: "c", Content: content(3_000_002)}}}
	archive := s.WriteOVA(t)
	info, err := os.Stat(archive)
	if err != nil {
		t.Fatal(err)
	}
	for name, ranges := range map[string]bool{"Range": true, "no Range": false} {
		t.Run(name, func(t *testing.T) {
			var sent, whole atomic.Int64
			h := http.FileServer(http.Dir(filepath.Dir(archive)))
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !ranges {
					r.Header.Del("Range")
				}
				if r.Method == http.MethodGet && r.Header.Get("Range") == "" {
					whole.Add(1)
				}
				h.ServeHTTP(counting{w, &sent}, r)
			}))
			defer srv.Close()
			got, err := readAll(t, srv.URL+"/"+filepath.Base(archive))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range s.Files {
				if !bytes.Equal(got[f.Href], f.Content) {
					t.Errorf("%s: %d bytes, want %d", f.Href, len(got[f.Href]), len(f.Content))
				}
			}
			t.Logf("%d bytes sent of %d, %d times asked for the whole", sent.Load(), info.Size(), whole.Load())
			if sent.Load() > info.Size()+1<<20 || whole.Load() > 1 {
				t.Errorf("%d bytes sent of %d, %d times asked for the whole", sent.Load(), info.Size(), whole.Load())
			}
		})
	}
}

type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counting) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

// R7: a silent server ends in a stall, and the error names the source, not the
// destination. Of R8 and R9 as well: cmd's script r07_r08_r09_sources, TestInterrupted.
func TestR7(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var opts files.OpenOptions
	opts.Web.Fetch = fetch.Options{StallTimeout: 200 * time.Millisecond, Attempts: 1, FirstAttempts: 1}
	start := time.Now()
	p, err := files.Open(t.Context(), "http://"+l.Addr().String()+"/app.ova", opts)
	if err == nil {
		p.Close()
		t.Fatal("a silent server gives a package")
	}
	if time.Since(start) > 5*time.Second || !strings.Contains(err.Error(), "app.ova") || strings.Contains(err.Error(), "destination") {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

// R10, R12, R15: a collection has its machines and properties.
func TestR10R12R15(t *testing.T) {
	vm := func(id string) string {
		return fmt.Sprintf(`<VirtualSystem ovf:id="%s"><Info/><ProductSection><Info/><Property ovf:key="own" ovf:type="string" ovf:value="%s"/></ProductSection><VirtualHardwareSection><Info/></VirtualHardwareSection></VirtualSystem>`, id, id)
	}
	e, err := ovf.Parse([]byte(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `"><References/><VirtualSystemCollection ovf:id="app"><Info/><ProductSection><Info/><Property ovf:key="all" ovf:type="string" ovf:value="1"/></ProductSection>` +
		vm("db") + `<VirtualSystemCollection ovf:id="inner"><Info/>` + vm("web") + `</VirtualSystemCollection></VirtualSystemCollection></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	var keys, collections, machines []string
	for c := range e.Contents() {
		if c.Collection {
			collections = append(collections, c.ID)
		}
		for _, p := range c.Properties() {
			keys = append(keys, c.ID+"/"+p.Key)
		}
	}
	for _, vs := range e.VirtualSystems() {
		machines = append(machines, vs.ID)
	}
	for name, is := range map[string][2]string{
		"R10": {strings.Join(keys, " "), "app/all db/own web/own"},
		"R12": {strings.Join(collections, " "), "app inner"},
		"R15": {strings.Join(machines, " "), "db web"},
	} {
		t.Run(name, func(t *testing.T) {
			if is[0] != is[1] {
				t.Errorf("%s, want %s", is[0], is[1])
			}
		})
	}
}

// R13, R14, R16, R17: disks by id, not by position; blank ones, any spelling of
// HostResource, unknown controllers; in the order of the descriptor.
func TestR13R14R16R17(t *testing.T) {
	item := func(id int, resource string) string {
		return fmt.Sprintf(`<Item><rasd:HostResource>%s</rasd:HostResource><rasd:InstanceID>%d</rasd:InstanceID><rasd:Parent>1</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>`, resource, id)
	}
	e, err := ovf.Parse([]byte(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `" xmlns:rasd="` + ovf.NSRASD + `">
<References><File ovf:id="iso" ovf:href="a.iso"/><File ovf:id="f2" ovf:href="d2.vmdk"/><File ovf:id="f1" ovf:href="d1.vmdk"/></References>
<DiskSection><Info/><Disk ovf:diskId="vmdisk1" ovf:fileRef="f1" ovf:capacity="1"/><Disk ovf:diskId="blank" ovf:capacity="1"/><Disk ovf:diskId="vmdisk2" ovf:fileRef="f2" ovf:capacity="1"/></DiskSection>
<VirtualSystem ovf:id="vm"><Info/><VirtualHardwareSection><Info/>
<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceSubType>unheard.of</rasd:ResourceSubType><rasd:ResourceType>20</rasd:ResourceType></Item>
<Item><rasd:AllocationUnits>byte * 2^30</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>3</rasd:VirtualQuantity></Item>` +
		item(5, "ovf:/disk/vmdisk1") + item(6, "/disk/blank") + item(7, "ovf:/disk/vmdisk2") + `</VirtualHardwareSection></VirtualSystem></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	h, _ := e.VirtualSystems()[0].HardwareFor(nil)
	var got, files []string
	for _, d := range h.Disks("") {
		got, files = append(got, d.Disk.ID), append(files, d.Disk.ID+"="+d.File.Href)
	}
	memory, err := h.MemoryBytes("")
	for name, is := range map[string][2]string{
		"R13": {files[0], "vmdisk1=d1.vmdk"},
		"R14": {files[1], "blank="},
		"R16": {strings.Join(got, " "), "vmdisk1 blank vmdisk2"},
		"R17": {fmt.Sprint(len(got), " disks, memory ", memory, err), "3 disks, memory 3221225472 <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			if is[0] != is[1] {
				t.Errorf("%s, want %s", is[0], is[1])
			}
		})
	}
}
