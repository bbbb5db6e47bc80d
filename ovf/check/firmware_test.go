package check_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"slices"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/check"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// bootDisk is the beginning of a disk that boots by EFI, from a partition in its
// GPT, or by BIOS, from an active partition of its MBR.
func bootDisk(efi bool) []byte {
	b := make([]byte, 1<<20)
	b[510], b[511] = 0x55, 0xAA
	if !efi {
		b[0], b[446], b[450] = 0xEB, 0x80, 0x83
		return b
	}
	copy(b[512:], "EFI PART")
	binary.LittleEndian.PutUint64(b[512+72:], 2)
	binary.LittleEndian.PutUint32(b[512+80:], 128)
	binary.LittleEndian.PutUint32(b[512+84:], 128)
	copy(b[1024+128:], "\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b")
	return b
}

// TestAC26BootDisk: a disk that is laid out for another firmware than the
// descriptor names is told of, by inspect's look and by validate's reading,
// whatever its format is called.
func TestAC26BootDisk(t *testing.T) {
	config := func(firmware string) string {
		return `<Info>hardware</Info><v:Config xmlns:v="` + ovf.NSVMW + `" ovf:required="false" v:key="firmware" v:value="` + firmware + `"/>`
	}
	for _, tt := range []struct {
		name     string
		efi      bool
		firmware string
		format   disk.Format
		told     bool
	}{
		{"EFI disk, no firmware", true, "", disk.VMDK, true},
		{"EFI disk, BIOS", true, config("bios"), disk.VMDK, true},
		{"EFI disk, EFI", true, config("efi"), disk.VMDK, false},
		{"BIOS disk, no firmware", false, "", disk.VMDK, false},
		{"BIOS disk, EFI", false, config("efi"), disk.VMDK, true},
		{"EFI disk in qcow2", true, config("bios"), disk.QCOW2, true},
	} {
		var image bytes.Buffer
		content := bootDisk(tt.efi)
		if _, err := formats.Encode(context.Background(), raw.New(bytes.NewReader(content), int64(len(content))), &image, tt.format, disk.EncodeOptions{}); err != nil {
			t.Fatal(err)
		}
		uri, _ := formats.URI(tt.format)
		descriptor := ovftest.Spec{Files: []ovftest.File{{Href: "boot.vmdk", Content: image.Bytes(), Disk: true, Capacity: int64(len(content))}}}.Descriptor(t)
		vmdk, _ := formats.URI(disk.VMDK)
		descriptor = bytes.Replace(descriptor, []byte(vmdk), []byte(uri), 1)
		if tt.firmware != "" {
			descriptor = bytes.Replace(descriptor, []byte("<Info>hardware</Info>"), []byte(tt.firmware), 1)
		}
		l, err := ova.NewLayout(ova.LayoutSpec{Name: "app.ova", Descriptor: "app.ovf", Envelope: descriptor,
			Files: []ova.LayoutFile{{Name: "boot.vmdk", Size: int64(image.Len()), Content: bytes.NewReader(image.Bytes())}}})
		if err != nil {
			t.Fatal(err)
		}
		archive, err := io.ReadAll(io.NewSectionReader(l, 0, l.Size()))
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := ova.Open(context.Background(), bytes.NewReader(archive), int64(len(archive)), "app.ova", ova.Options{})
		if err != nil {
			t.Fatal(err)
		}
		told := func(findings []ovf.Finding) bool {
			return slices.ContainsFunc(findings, func(f ovf.Finding) bool { return f.ID == check.RuleFirmware })
		}
		if got := told(check.Quick(context.Background(), pkg)); got != tt.told {
			t.Errorf("%s: inspect tells it: %v", tt.name, got)
		}
		read, err := check.Package(context.Background(), pkg, check.Options{Spool: t.TempDir()})
		if got := told(read); got != tt.told || err != nil {
			t.Errorf("%s: validate tells it: %v, %v", tt.name, got, err)
		}
		pkg.Close()
	}
}
