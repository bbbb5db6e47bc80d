package ovf_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

func item(fields ...string) string {
	var b strings.Builder
	b.WriteString("<Item>")
	for i := 0; i+1 < len(fields); i += 2 {
		fmt.Fprintf(&b, "<rasd:%s>%s</rasd:%s>", fields[i], fields[i+1], fields[i])
	}
	b.WriteString("</Item>\n")
	return b.String()
}

func single(t *testing.T, disks, items string) ovf.VirtualHardware {
	t.Helper()
	e, err := ovf.Parse([]byte(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:o="` + ovf.NS1 + `" xmlns:rasd="` + ovf.NSRASD + `">` + disks +
		`<VirtualSystem o:id="vm"><Info/><VirtualHardwareSection><Info/>` + items + `</VirtualHardwareSection></VirtualSystem></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	h, ok := e.VirtualSystems()[0].HardwareFor(nil)
	if !ok {
		t.Fatal("no hardware")
	}
	return h
}

// AC-23, AC-24: by controller and address, and by id, whatever the order.
func TestAC23AC24Drives(t *testing.T) {
	refs := `<References><File o:id="iso" o:href="a.iso"/><File o:id="f2" o:href="2.vmdk"/><File o:id="f1" o:href="1.vmdk"/></References>
<DiskSection><Info/><Disk o:diskId="d2" o:fileRef="f2" o:capacity="2"/><Disk o:diskId="blank" o:capacity="3"/><Disk o:diskId="d1" o:fileRef="f1" o:capacity="1"/><Disk o:diskId="a b" o:capacity="3"/></DiskSection>`
	h := single(t, refs,
		item("InstanceID", "d", "ResourceType", "17", "Parent", "n0", "AddressOnParent", "0", "HostResource", "ovf:/disk/a%20b")+
			item("InstanceID", "n0", "ResourceType", "20", "ResourceSubType", "vmware.nvme.controller")+
			item("InstanceID", "b", "ResourceType", "17", "Parent", "s1", "AddressOnParent", "0", "HostResource", "/disk/d2")+
			item("InstanceID", "s1", "ResourceType", "6", "Address", "1", "ResourceSubType", "VirtualSCSI")+
			item("InstanceID", "a", "ResourceType", "17", "Parent", "s0", "AddressOnParent", "10", "HostResource", "ovf:/disk/blank")+
			item("InstanceID", "c", "ResourceType", "17", "Parent", "s0", "AddressOnParent", "9", "HostResource", "ovf://disk/d1")+
			item("InstanceID", "s0", "ResourceType", "6", "Address", "0")+
			item("InstanceID", "i0", "ResourceType", "5", "Address", "0")+
			item("InstanceID", "cd", "ResourceType", "15", "Parent", "i0", "AddressOnParent", "0", "HostResource", "ovf:/file/iso")+
			item("InstanceID", "ahci", "ResourceType", "20", "ResourceSubType", "AHCI")+
			item("InstanceID", "e", "ResourceType", "17", "Parent", "ahci", "AddressOnParent", "0", "HostResource", "ovf:/disk/none")+
			item("InstanceID", "f", "ResourceType", "17", "HostResource", "ovf:/disk/d1"))
	var got []string
	for _, d := range h.Drives("") {
		got = append(got, fmt.Sprintf("%s %s %s:%d %s %s", d.InstanceID, d.Class, d.Controller, d.Unit, d.Disk.ID, d.File.ID))
	}
	want := []string{"d disk nvme0:0 a b ", "c disk scsi0:9 d1 f1", "a disk scsi0:10 blank ", "b disk scsi1:0 d2 f2",
		"cd cdrom ide0:0  iso", "e disk sata0:0  ", "f disk :-1 d1 f1"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSharedInstanceID: Items of one InstanceID are one device, but not where
// they are of different kinds, as some generators number them.
func TestSharedInstanceID(t *testing.T) {
	h := single(t, `<References><File o:id="f" o:href="f"/></References><DiskSection><Info/><Disk o:diskId="d" o:fileRef="f" o:capacity="9"/></DiskSection>`,
		item("InstanceID", "4", "ResourceType", "10", "Connection", "lan")+
			item("InstanceID", "4", "ResourceType", "17", "HostResource", "ovf:/disk/d")+
			item("InstanceID", "4", "ElementName", "the disk", "ResourceType", "17")+
			item("InstanceID", "4", "ResourceType", "10", "ResourceSubType", "E1000"))
	nics, disks := h.NICs(""), h.Disks("")
	if len(nics) != 1 || len(nics[0].Connection) != 1 || nics[0].ResourceSubType != "E1000" {
		t.Errorf("cards: %+v", nics)
	}
	if len(disks) != 1 || disks[0].Disk.ID != "d" || disks[0].ElementName != "the disk" {
		t.Errorf("disks: %+v", disks)
	}
}

func TestMemoryUnits(t *testing.T) {
	for units, want := range map[string]int64{"": 512 << 20, "byte * 2^20": 512 << 20, "MegaBytes": 512 << 20, "byte * 2^10": 512 << 10, "byte": 512} {
		h := single(t, "", item("InstanceID", "1", "ResourceType", "4", "AllocationUnits", units, "VirtualQuantity", "512"))
		if n, err := h.MemoryBytes(""); n != want || err != nil {
			t.Errorf("%q: %d, %v", units, n, err)
		}
	}
	h := single(t, "", strings.Repeat(item("InstanceID", "", "ResourceType", "4", "AllocationUnits", "byte * 2^62", "VirtualQuantity", "1"), 2))
	if n, err := h.MemoryBytes(""); err == nil {
		t.Errorf("the sum of 2^62 and 2^62 is %d", n)
	}
}

func TestTooMuch(t *testing.T) {
	for name, s := range map[string]string{
		"environment": `<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"/>`,
		"version 3":   `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/3"/>`,
	} {
		if _, err := ovf.Parse([]byte(s)); err == nil || !strings.Contains(err.Error(), "http://schemas.dmtf.org/ovf/en") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is built to explode is refused as a limit, at once, and in little memory.
func TestExplosions(t *testing.T) {
	open, end := `<Envelope xmlns="`+ovf.NS1+`" xmlns:ovf="`+ovf.NS1+`">`, "</Envelope>"
	var attributes, laughs, namespaces strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&attributes, ` ovf:a%d=""`, i)
		if i < 100_000 {
			fmt.Fprintf(&namespaces, ` xmlns:n%d="u"`, i)
		}
	}
	laughs.WriteString(`<!ENTITY l0 "lol">`)
	for i := range 9 {
		fmt.Fprintf(&laughs, `<!ENTITY l%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&l%d;", i), 10))
	}
	for name, s := range map[string]string{
		"deep nesting":         open + strings.Repeat("<a>", 1_000_000),
		"nested collections":   open + strings.Repeat(`<VirtualSystemCollection ovf:id="x">`, 200_000),
		"a million attributes": open + "<VirtualSystem" + attributes.String() + "/>" + end,
		"many namespaces":      open + "<VirtualSystem" + namespaces.String() + "/>" + end,
		"a billion laughs":     "<!DOCTYPE Envelope [" + laughs.String() + "]>" + open + "&l9;" + end,
		"quadratic entities":   `<!DOCTYPE Envelope [<!ENTITY a "` + strings.Repeat("a", 50_000) + `">]>` + open + strings.Repeat("&a;", 50_000) + end,
		"an external entity":   `<!DOCTYPE Envelope [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + open + "&x;" + end,
		"an external subset":   `<!DOCTYPE Envelope SYSTEM "http://127.0.0.1:1/x.dtd">` + open + end,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ovf.Parse([]byte(s))
		runtime.ReadMemStats(&after)
		var limit *xmltree.LimitError
		var de *ovf.DescriptorError
		if !errors.As(err, &limit) || !errors.As(err, &de) {
			t.Errorf("%s: %v, want a limit", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64*uint64(len(s))+1<<20 {
			t.Errorf("%s: %d bytes of memory for %d of input", name, used, len(s))
		}
	}
}

// large is a descriptor with n virtual systems, each with a disk.
func large(n int) []byte {
	var b strings.Builder
	b.WriteString(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `" xmlns:rasd="` + ovf.NSRASD + `"><References>`)
	for i := range n {
		fmt.Fprintf(&b, `<File ovf:id="f%d" ovf:href="d%d.vmdk" ovf:size="1"/>`, i, i)
	}
	b.WriteString("</References><DiskSection><Info/>")
	for i := range n {
		fmt.Fprintf(&b, `<Disk ovf:diskId="d%d" ovf:fileRef="f%d" ovf:capacity="1"/>`, i, i)
	}
	b.WriteString(`</DiskSection><VirtualSystemCollection ovf:id="all"><Info/>`)
	for i := range n {
		fmt.Fprintf(&b, "<VirtualSystem ovf:id=\"vm%d\"><Info>A machine</Info>\n<VirtualHardwareSection><Info/>%s%s%s</VirtualHardwareSection></VirtualSystem>\n", i,
			item("InstanceID", "1", "ResourceType", "3", "VirtualQuantity", "1"), item("InstanceID", "2", "ResourceType", "4", "VirtualQuantity", "1"),
			item("InstanceID", "3", "ResourceType", "17", "HostResource", fmt.Sprintf("ovf:/disk/d%d", i)))
	}
	b.WriteString("</VirtualSystemCollection></Envelope>")
	return []byte(b.String())
}

// BenchmarkParse shows that time is linear (ns/byte is the same for all) and
// that memory is below 64 bytes per byte of input.
func BenchmarkParse(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		doc := large(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				if _, err := ovf.Parse(doc); err != nil {
					b.Fatal(err)
				}
			}
			runtime.ReadMemStats(&after)
			per := float64(len(doc)) * float64(b.N)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/per, "ns/byte")
			memory := float64(after.TotalAlloc-before.TotalAlloc) / per
			b.ReportMetric(memory, "memory/byte")
			if memory > 64 {
				b.Errorf("%.1f bytes of memory for a byte of input", memory)
			}
		})
	}
}

// Time follows size: a byte of a large descriptor costs what one of a small
// descriptor does, in the same run.
func TestLinear(t *testing.T) {
	cost := func(n, times int) float64 {
		doc := large(n)
		best := time.Duration(1<<63 - 1)
		for range 3 {
			start := time.Now()
			for range times {
				e, err := ovf.Parse(doc)
				if err != nil {
					t.Fatal(err)
				}
				for _, vs := range e.VirtualSystems() {
					h, _ := vs.HardwareFor(nil)
					h.Disks("")
				}
			}
			best = min(best, time.Since(start))
		}
		return float64(best.Nanoseconds()) / float64(times*len(doc))
	}
	small, big := cost(200, 8), cost(1_600, 1)
	for round := 0; round < 4 && big > 3*small; round++ { // what else runs may slow one
		small, big = min(small, cost(200, 8)), min(big, cost(1_600, 1))
	}
	t.Logf("%.1f ns for a byte of 200 systems, %.1f of 1600", small, big)
	if big > 3*small {
		t.Errorf("a byte of eight times as many systems costs %.1f times as much", big/small)
	}
}

func TestTenThousandSystems(t *testing.T) {
	doc := large(10_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e, err := ovf.Parse(doc)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	per := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(doc))
	if per > 64 {
		t.Errorf("%.1f bytes of memory for a byte of input", per)
	}
	n := 0
	for _, vs := range e.VirtualSystems() {
		h, _ := vs.HardwareFor(nil)
		if d := h.Disks(""); len(d) == 1 && d[0].Disk.Exists() {
			n++
		}
	}
	if n != 10_000 {
		t.Errorf("%d of 10000 disks are found", n)
	}
	t.Logf("%.1f bytes of memory, all allocations counted, for a byte of input", per)
}
