package providertest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// descriptor is the smallest System: one machine without a disk.
const descriptor = `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References/>
  <VirtualSystem ovf:id="tiny">
    <Info>A machine without a disk</Info>
    <Name>tiny</Name>
    <VirtualHardwareSection>
      <Info>Hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemType>vmx-10</vssd:VirtualSystemType>
      </System>
      <Item>
        <rasd:ElementName>1 virtual CPU</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>1</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
        <rasd:ElementName>64 MiB of memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>64</rasd:VirtualQuantity>
      </Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`

// tinyPackage is an OVA of the descriptor alone.
func tinyPackage() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "tiny.ovf", Mode: 0o644, Size: int64(len(descriptor)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR})
	_, _ = io.WriteString(w, descriptor)
	_ = w.Close()
	return b.Bytes()
}

// serve puts bytes at a URL on loopback.
func (s *suite) serve(name string, b []byte) string {
	mux := http.NewServeMux()
	mux.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/ovf")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	})
	srv := httptest.NewServer(mux)
	s.Cleanup(srv.Close)
	return srv.URL + "/" + name
}

// importExport imports a package, looks at the System, exports it, reads the
// package whole and in part, and deletes the System.
func (s *suite) importExport() {
	systems := s.collection("systems", cimi.ActionImport)
	acc, err := s.p.Invoke(s.ctx, systems, &cimi.Action{
		Common: cimi.Common{Properties: map[string]string{"ovf.name": "pt-tiny"}},
		Action: cimi.ActionImport, Source: s.serve("tiny.ova", tinyPackage()),
	})
	if err != nil {
		s.Fatal(err)
	}
	job := s.finish(acc, nil, "")
	id := acc.Location
	if id == "" && job != nil {
		for _, a := range job.AffectedResources {
			if a.Href != systems {
				id = a.Href
			}
		}
	}
	if id == "" {
		s.Fatal("import names no System, neither by Location nor in affectedResources")
	}
	s.Cleanup(func() { s.delete(id) })
	sys, ok := s.get(id).(*cimi.System)
	if !ok || sys.Name != "pt-tiny" {
		s.Fatalf("import gave %+v", sys)
	}
	n := 0
	for m, err := range cimi.All(s.ctx, s.p, cimi.HrefOf(sys.Machines), cimi.ListOptions{}) {
		if err != nil {
			s.Fatal(err)
		}
		if n++; m.TypeName() != "Machine" {
			s.Errorf("machines holds a %s", m.TypeName())
		}
		full := s.get(m.Base().ID).(*cimi.Machine)
		if cimi.IntValue(full.CPU) < 1 || cimi.IntValue(full.Memory) < 1 {
			s.Errorf("machine: cpu %v, memory %v", full.CPU, full.Memory)
		}
	}
	if n != 1 {
		s.Errorf("the System has %d machines, want 1", n)
	}
	if sys.Operation(cimi.ActionExport) == nil {
		s.Log("export is not offered")
		return
	}
	s.export(id)
	acc, err = s.p.Delete(s.ctx, id)
	s.finish(acc, err, "")
	if _, err := s.p.Get(s.ctx, id, cimi.ReadOptions{}); !cimi.IsNotFound(err) {
		s.Errorf("after the delete: %v, want 404", err)
	}
}

func (s *suite) export(id string) {
	_, err := s.p.Invoke(s.ctx, id, &cimi.Action{Action: cimi.ActionExport, Format: "application/x-no-such-format"})
	s.refused(err, "export to an unknown format")
	acc, err := s.p.Invoke(s.ctx, id, &cimi.Action{Action: cimi.ActionExport})
	s.finish(acc, err, id)
	if acc.Location == "" {
		s.Fatal("export without destination gives no Location (5.13.1.2)")
	}
	var c cimi.Content
	for range 100 {
		if c, err = s.p.Open(s.ctx, acc.Location); cimi.StatusOf(err) != http.StatusServiceUnavailable {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	all := make([]byte, c.Size())
	if n, err := c.ReadAt(all, 0); n != len(all) || err != nil && !errors.Is(err, io.EOF) {
		s.Fatalf("read %d of %d bytes: %v", n, len(all), err)
	}
	h, err := tar.NewReader(bytes.NewReader(all)).Next()
	if err != nil {
		s.Fatalf("the export is no OVA: %v", err)
	}
	if len(h.Name) < 5 || h.Name[len(h.Name)-4:] != ".ovf" {
		s.Errorf("the first member is %s, want the descriptor (DSP0243 5.3)", h.Name)
	}
	if !c.Ranged() {
		return
	}
	part := make([]byte, 100)
	if _, err := c.ReadAt(part, 512); err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(part, all[512:612]) {
		s.Errorf("a part reads differently from the whole (%v)", err)
	}
	if n, err := c.ReadAt(part, c.Size()); n != 0 || !errors.Is(err, io.EOF) {
		s.Errorf("read at the end: %d, %v; want 0, EOF", n, err)
	}
}

// importFails: a package that is none fails the Job, or the request, and
// leaves nothing behind.
func (s *suite) importFails() {
	systems := s.collection("systems", cimi.ActionImport)
	before := s.count(systems)
	_, err := s.p.Invoke(s.ctx, systems, &cimi.Action{Action: cimi.ActionImport})
	s.refused(err, "import without a source")
	acc, err := s.p.Invoke(s.ctx, systems, &cimi.Action{Action: cimi.ActionImport, Source: s.serve("bad.ova", []byte("this is no package"))})
	if err != nil {
		s.refused(err, "import of what is no package")
	} else {
		_, err = cimi.Wait(s.ctx, s.p, acc, "", cimi.WaitOptions{MinPoll: 5 * time.Millisecond})
		var je *cimi.JobError
		if !errors.As(err, &je) {
			s.Fatalf("import of what is no package: %v, want a *cimi.JobError", err)
		}
		if len(je.Messages) == 0 || je.Job.State != cimi.JobFailed {
			s.Errorf("the Job is %s and says %q", je.Job.State, je.Messages)
		}
		s.checkJob(je.Job)
	}
	if after := s.count(systems); after != before {
		s.Errorf("%d Systems before, %d after a failed import", before, after)
	}
}

func (s *suite) count(collection string) int64 {
	s.Helper()
	c, err := s.p.List(s.ctx, collection, cimi.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return cimi.IntValue(c.Count)
}
