package disk_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
)

func at(off int, magic string) []byte {
	b := make([]byte, 4096)
	copy(b[off:], magic)
	return b
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		content []byte
		want    string
	}{
		{at(0, "KDMV\x03\x00\x00\x00\x01\x00\x03\x00"), "vmdk (streamOptimized)"},
		{at(0, "KDMV\x01\x00\x00\x00\x03\x00\x00\x00"), "vmdk-sparse (monolithicSparse)"},
		{[]byte("KDMV"), "vmdk-sparse (monolithicSparse)"},
		{[]byte("# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\n"), "vmdk (monolithicFlat)"},
		{[]byte("\n# disk descriptorfile\n"), "vmdk (descriptor)"},
		{[]byte("# Disk Descriptor File\nversion=1\nCID=fffffffe\n createType = \"monolithicFlat\"\n"), "vmdk (monolithicFlat)"},
		{[]byte("#Disk Descriptor File\r\nversion=1\r\ncreateType=\"vmfs\"\r\n"), "vmdk (vmfs)"},
		{[]byte("#Disk DescriptorFile\n"), "vmdk (descriptor)"},
		{[]byte("\ufeff# Disk DescriptorFile\n"), "vmdk (descriptor)"},
		{[]byte("# made by hand\n\nversion=1\nCID=1\ncreateType=\"custom\"\n"), "vmdk (custom)"},
		{[]byte("version=1\ncreateType=\"monolithicFlat\"\n"), "vmdk (monolithicFlat)"},
		{[]byte("# made by hand\nversion=1\n"), "of no known format"},
		{[]byte("#!/bin/sh\necho createType=\"custom\"\nversion=1\n"), "of no known format"},
		{at(0, "QFI\xfb\x00\x00\x00\x03"), "qcow2"},
		{at(0, "QFI\xfb\x00\x00\x00\x01"), "qcow (version 1)"},
		{at(0, "conectix"), "vhd (dynamic)"},
		{at(4096-512, "conectix"), "vhd (fixed)"},
		{at(0, "vhdxfile"), "vhdx"},
		{at(64, "\x7f\x10\xda\xbe"), "vdi"},
		{at(0, "\x1f\x8b\x08"), "gzip"},
		{at(0, "COWD"), "vmdk (vmfsSparse)"},
		{at(0, "\xbe\xba\xfe\xca\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00"), "vmdk (seSparse)"},
		{at(4096-511, "conectix"), "vhd (fixed)"},
		{at(0, ""), "of no known format"},
		{nil, "of no known format"},
	} {
		k, err := disk.Detect(bytes.NewReader(c.content), int64(len(c.content)))
		if err != nil || k.String() != c.want {
			t.Errorf("%.20q: %v (%v), want %s", c.content, k, err, c.want)
		}
	}
}

func TestResolve(t *testing.T) {
	unknown, gzip := disk.Kind{}, disk.Kind{Other: "gzip"}
	qcow2 := disk.Kind{Format: disk.QCOW2}
	stream := disk.Kind{Format: disk.VMDK, Variant: "streamOptimized"}
	sparse := disk.Kind{Format: disk.VMDKSparse, Variant: "monolithicSparse"}
	for _, c := range []struct {
		kind     disk.Kind
		declared disk.Format
		name     string
		want     disk.Format
		is       error
	}{
		{disk.Kind{Other: "luks"}, disk.Raw, "disk", disk.Raw, nil},
		{disk.Kind{Other: "luks"}, "", "disk.img", disk.Raw, nil},
		{disk.Kind{Other: "luks"}, "", "disk", "", disk.ErrUnsupported},
		{stream, "", "disk.vmdk", disk.VMDK, nil},
		{sparse, "", "disk.VMDK", disk.VMDKSparse, nil},
		{sparse, disk.VMDK, "", disk.VMDKSparse, nil},
		{stream, disk.VMDKSparse, "", disk.VMDK, nil},
		{stream, "", "disk-0001", disk.VMDK, nil},
		{qcow2, "", "", disk.QCOW2, nil},
		{unknown, "", "disk.raw", disk.Raw, nil},
		{unknown, "", `C:\disks\disk.IMG`, disk.Raw, nil},
		{unknown, disk.Raw, "", disk.Raw, nil},
		{unknown, disk.Raw, "disk.vmdk", disk.Raw, nil}, // what is declared outweighs a name

		{unknown, "", "", "", disk.ErrWrongFormat},
		{unknown, "", "disk.bin", "", disk.ErrWrongFormat},
		{unknown, "", "disk.raw/disk", "", disk.ErrWrongFormat},
		{unknown, "", "disk.vmdk", "", disk.ErrWrongFormat},
		{unknown, disk.QCOW2, "disk.raw", "", disk.ErrWrongFormat},
		{qcow2, "", "disk.vmdk", "", disk.ErrWrongFormat},
		{qcow2, "", "disk.raw", "", disk.ErrWrongFormat},
		{qcow2, disk.Raw, "", "", disk.ErrWrongFormat},
		{stream, disk.QCOW2, "disk.vmdk", "", disk.ErrWrongFormat},
		{gzip, disk.VMDK, "", "", disk.ErrWrongFormat},
		{gzip, "", "disk.img", "", disk.ErrWrongFormat},
		{gzip, "", "disk", "", disk.ErrUnsupported},
	} {
		got, err := disk.Resolve(c.kind, c.declared, c.name)
		if got != c.want || !errors.Is(err, c.is) {
			t.Errorf("%v, declared %q, named %q: %q (%v), want %q (%v)", c.kind, c.declared, c.name, got, err, c.want, c.is)
		}
	}
}

// TestResolveSaysWhatToDo: what is often given under another name.
func TestResolveSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		kind disk.Kind
		says []string
	}{
		"cloud.img":      {disk.Kind{Format: disk.QCOW2}, []string{"--from qcow2", "ovf:format"}},
		"disk-flat.vmdk": {disk.Kind{}, []string{"descriptor", "--from raw", ".img"}},
		"disk.qcow2":     {disk.Kind{}, []string{"--from raw", ".img"}}, // in a package only the name can say it
	} {
		_, err := disk.Resolve(c.kind, "", name)
		for _, says := range c.says {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v, expected %s", name, err, says)
			}
		}
	}
}
