package hosttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
)

// Sample is a small appliance: two machines in a collection with a start order,
// three disks of which one is blank, two networks, a kept file, a vendor section.
type Sample struct {
	Name       string
	Descriptor []byte
	// Algorithm is that of the manifest; empty takes the layout's own choice.
	Algorithm manifest.Algorithm
	// Disks are the contents by diskId; the blank disk is not among them.
	Disks map[string][]byte
	// Digests are their content digests in hexadecimal.
	Digests map[string]string
	files   []ova.LayoutFile
}

// DiskSize is the size in bytes of the sample's disks.
const DiskSize = 3<<20 + 512

// NewSample makes the sample; seed tells one from another.
func NewSample(t testing.TB, name string, seed byte) *Sample {
	t.Helper()
	s := &Sample{Name: name, Disks: map[string][]byte{}, Digests: map[string]string{}}
	s.add(t, "disk1", "disk1.vmdk", seed, 0, 1<<20, 2<<20+4096)
	s.add(t, "disk2", "disk2.vmdk", seed+1, 64<<10, DiskSize-4096)
	readme := []byte("Read me first.\n")
	s.files = append(s.files, ova.LayoutFile{Name: "readme.txt", Size: int64(len(readme)), Content: bytes.NewReader(readme)})
	s.Descriptor = fmt.Appendf(nil, descriptor, s.files[0].Size, s.files[1].Size, len(readme), DiskSize, name)
	return s
}

// pattern is a disk with a few KiB of data at each place, the rest zero.
func pattern(seed byte, at ...int) []byte {
	b := make([]byte, DiskSize)
	for _, off := range at {
		for i := 0; i < 4096; i += sha256.Size {
			var in [9]byte
			in[0] = seed
			binary.LittleEndian.PutUint64(in[1:], uint64(off+i))
			sum := sha256.Sum256(in[:])
			copy(b[off+i:], sum[:])
		}
	}
	return b
}

func (s *Sample) add(t testing.TB, id, file string, seed byte, at ...int) {
	t.Helper()
	key := fmt.Sprint(seed, at)
	made, ok := sampleDisks.Load(key)
	if !ok {
		d, err := newSampleDisk(pattern(seed, at...))
		if err != nil {
			t.Fatal(err)
		}
		made, _ = sampleDisks.LoadOrStore(key, d)
	}
	d := made.(*sampleDisk)
	s.Disks[id], s.Digests[id] = bytes.Clone(d.content), d.digest
	s.files = append(s.files, ova.LayoutFile{Name: file, Size: int64(len(d.stored)), Content: bytes.NewReader(d.stored)})
}

// sampleDisks keeps what was made for other tests of the process, by seed and places:
// to encode it anew for each would be a tenth of all that they do.
var sampleDisks sync.Map

type sampleDisk struct {
	content, stored []byte
	digest          string
}

func newSampleDisk(content []byte) (*sampleDisk, error) {
	img := raw.New(bytes.NewReader(content), int64(len(content)))
	var out bytes.Buffer
	if _, err := vmdk.Encode(context.Background(), img, &out, vmdk.EncodeOptions{}); err != nil {
		return nil, err
	}
	d, err := disk.ContentDigest(context.Background(), img, img.Size(), nil)
	if err != nil {
		return nil, err
	}
	return &sampleDisk{content, out.Bytes(), d.String()}, nil
}

// OVA is the sample as an archive.
func (s *Sample) OVA(t testing.TB) []byte {
	t.Helper()
	l, err := ova.NewLayout(ova.LayoutSpec{Name: s.Name, Descriptor: "sample.ovf", Envelope: s.Descriptor, Algorithm: s.Algorithm, Files: s.files})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(l, 0, l.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// File is where a file of the archive lies in OVA's bytes.
func (s *Sample) File(t testing.TB, name string) (offset, size int64) {
	t.Helper()
	l, err := ova.NewLayout(ova.LayoutSpec{Name: s.Name, Descriptor: "sample.ovf", Envelope: s.Descriptor, Algorithm: s.Algorithm, Files: s.files})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range l.Members() {
		if m.Name == name {
			return m.Offset, m.Size
		}
	}
	t.Fatalf("the sample has no file %s", name)
	return 0, 0
}

// Package opens an archive for random access.
func Package(t testing.TB, archive []byte) ovf.Opener {
	t.Helper()
	p, err := ova.Open(context.Background(), bytes.NewReader(archive), int64(len(archive)), "sample.ova", ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// Stream opens an archive that cannot seek.
func Stream(t testing.TB, r io.Reader) ovf.Package {
	t.Helper()
	p, err := ova.Read(context.Background(), struct{ io.Reader }{r}, "-", ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

const descriptor = `<?xml version="1.0" encoding="UTF-8"?>
<!-- kept as it is -->
<ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:ex="http://example.com/vendor" xml:lang="en-US">
  <ovf:References>
    <ovf:File ovf:id="file1" ovf:href="disk1.vmdk" ovf:size="%d"/>
    <ovf:File ovf:id="file2" ovf:href="disk2.vmdk" ovf:size="%d"/>
    <ovf:File ovf:id="file3" ovf:href="readme.txt" ovf:size="%d"/>
  </ovf:References>
  <ovf:DiskSection>
    <ovf:Info>Disks</ovf:Info>
    <ovf:Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="%[4]d" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
    <ovf:Disk ovf:diskId="disk2" ovf:fileRef="file2" ovf:capacity="%[4]d" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
    <ovf:Disk ovf:diskId="scratch" ovf:capacity="2" ovf:capacityAllocationUnits="byte * 2^20"/>
  </ovf:DiskSection>
  <ovf:NetworkSection>
    <ovf:Info>Networks</ovf:Info>
    <ovf:Network ovf:name="front"><ovf:Description>towards users</ovf:Description></ovf:Network>
    <ovf:Network ovf:name="back"><ovf:Description>between machines</ovf:Description></ovf:Network>
  </ovf:NetworkSection>
  <ovf:VirtualSystemCollection ovf:id="appliance">
    <ovf:Info>A small appliance</ovf:Info>
    <ovf:Name>%[5]s</ovf:Name>
    <ovf:StartupSection>
      <ovf:Info>Start order</ovf:Info>
      <ovf:Item ovf:id="db" ovf:order="1" ovf:startDelay="2" ovf:waitingForGuest="false" ovf:startAction="powerOn"/>
      <ovf:Item ovf:id="web" ovf:order="2"/>
    </ovf:StartupSection>
    <ex:VendorSection ovf:required="false"><ovf:Info>kept</ovf:Info><ex:Anything at="all"/></ex:VendorSection>
    <ovf:VirtualSystem ovf:id="db">
      <ovf:Info>Database</ovf:Info>
      <ovf:Name>database</ovf:Name>
      <ovf:AnnotationSection><ovf:Info>note</ovf:Info><ovf:Annotation>holds the data</ovf:Annotation></ovf:AnnotationSection>
      <ovf:VirtualHardwareSection>
        <ovf:Info>Hardware</ovf:Info>
        <ovf:Item><rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits><rasd:ElementName>2 CPUs</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></ovf:Item>
        <ovf:Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>Memory</rasd:ElementName><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></ovf:Item>
        <ovf:Item><rasd:Address>0</rasd:Address><rasd:ElementName>SCSI</rasd:ElementName><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></ovf:Item>
        <ovf:Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>Disk 1</rasd:ElementName><rasd:HostResource>ovf:/disk/disk1</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></ovf:Item>
        <ovf:Item><rasd:AddressOnParent>1</rasd:AddressOnParent><rasd:ElementName>Disk 2</rasd:ElementName><rasd:HostResource>ovf:/disk/scratch</rasd:HostResource><rasd:InstanceID>5</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></ovf:Item>
        <ovf:Item><rasd:AutomaticAllocation>true</rasd:AutomaticAllocation><rasd:Connection>back</rasd:Connection><rasd:ElementName>Ethernet</rasd:ElementName><rasd:InstanceID>6</rasd:InstanceID><rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></ovf:Item>
      </ovf:VirtualHardwareSection>
    </ovf:VirtualSystem>
    <ovf:VirtualSystem ovf:id="web">
      <ovf:Info>Web server</ovf:Info>
      <ovf:VirtualHardwareSection>
        <ovf:Info>Hardware</ovf:Info>
        <ovf:Item><rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits><rasd:ElementName>1 CPU</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></ovf:Item>
        <ovf:Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>Memory</rasd:ElementName><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>256</rasd:VirtualQuantity></ovf:Item>
        <ovf:Item><rasd:Address>0</rasd:Address><rasd:ElementName>SCSI</rasd:ElementName><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></ovf:Item>
        <ovf:Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>Disk 1</rasd:ElementName><rasd:HostResource>ovf:/disk/disk2</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></ovf:Item>
        <ovf:Item><rasd:Address>00:50:56:aa:bb:01</rasd:Address><rasd:AutomaticAllocation>true</rasd:AutomaticAllocation><rasd:Connection>front</rasd:Connection><rasd:ElementName>Ethernet 1</rasd:ElementName><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceSubType>E1000</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></ovf:Item>
        <ovf:Item><rasd:AutomaticAllocation>false</rasd:AutomaticAllocation><rasd:Connection>back</rasd:Connection><rasd:ElementName>Ethernet 2</rasd:ElementName><rasd:InstanceID>6</rasd:InstanceID><rasd:ResourceSubType>E1000</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></ovf:Item>
      </ovf:VirtualHardwareSection>
    </ovf:VirtualSystem>
  </ovf:VirtualSystemCollection>
</ovf:Envelope>
`
