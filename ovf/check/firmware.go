package check

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
)

// RuleFirmware: a disk is laid out for another firmware than the descriptor names.
const RuleFirmware = "OVF-HW-030"

// looked is how much of a disk's beginning tells what boots it: the boot
// sector, the partition table's header and its 128 entries.
const looked = 64 << 10

// beginning is a Sink that keeps the first bytes of a disk.
type beginning struct {
	mu sync.Mutex
	b  [looked]byte
}

func (*beginning) Begin(disk.Info) error { return nil }

func (s *beginning) WriteAt(p []byte, off int64) (int, error) {
	if off < looked {
		s.mu.Lock()
		copy(s.b[off:], p)
		s.mu.Unlock()
	}
	return len(p), nil
}

// espType is the partition type of an EFI system partition, biosBootType that
// of a boot loader for BIOS (UEFI specification 5.3.3; GRUB), as they are stored.
var (
	espType      = []byte("\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b")
	biosBootType = []byte("Hah!IdontNeedEFI")
)

// boots says which firmware a disk is laid out for: bios, efi, both, or neither
// where nothing tells.
func (s *beginning) boots() (bios, efi bool) {
	const sector = 512
	mbr := s.b[:sector]
	signed := mbr[510] == 0x55 && mbr[511] == 0xAA
	table := s.b[sector:]
	if !bytes.HasPrefix(table, []byte("EFI PART")) {
		// A boot sector with code and a partition that is marked as active.
		active := false
		for i := range 4 {
			active = active || mbr[446+16*i] == 0x80 && mbr[446+16*i+4] != 0
		}
		return signed && active && mbr[0] != 0, false
	}
	le := binary.LittleEndian
	at, size, count := le.Uint64(table[72:]), le.Uint32(table[84:]), le.Uint32(table[80:])
	for i := range min(count, 128) {
		from := at*sector + uint64(i)*uint64(size)
		if size < 128 || from > looked-128 {
			break
		}
		kind := s.b[from : from+16]
		efi = efi || bytes.Equal(kind, espType)
		bios = bios || bytes.Equal(kind, biosBootType)
	}
	return bios, efi
}

// firmware compares a disk that some machine boots from with the firmware that
// the descriptor gives the machine.
func (r *reading) firmware(d ovf.Disk, s *beginning) {
	bios, efi := s.boots()
	if bios == efi {
		return
	}
	kind := map[bool]string{true: "efi", false: "bios"}[efi]
	for _, vs := range r.pkg.Envelope().VirtualSystems() {
		h, ok := vs.HardwareFor(nil)
		if !ok {
			continue
		}
		disks := h.Disks("")
		if len(disks) == 0 || disks[0].Disk.ID != d.ID {
			continue // the first is the one that boots
		}
		has := h.Firmware()
		switch {
		case has == "" && efi:
			r.add(RuleFirmware, ovf.Warning, "VirtualSystem "+vs.ID, fmt.Sprintf("disk %s boots by way of EFI (it has an EFI system partition), and the descriptor names no firmware, which most take for BIOS", d.ID))
		case has != "" && has != kind:
			r.add(RuleFirmware, ovf.Warning, "VirtualSystem "+vs.ID, fmt.Sprintf("disk %s is laid out to boot by way of %s, and the descriptor asks for %s", d.ID, kind, has))
		}
	}
}

// bootDisks looks at the beginning of the disks that machines boot from, where
// the package can be read anywhere.
func (r *reading) bootDisks(ctx context.Context) {
	o, ok := r.pkg.(ovf.Opener)
	if !ok {
		return
	}
	seen := map[string]bool{}
	for _, vs := range o.Envelope().VirtualSystems() {
		h, _ := vs.HardwareFor(nil)
		disks := h.Disks("")
		if len(disks) == 0 || seen[disks[0].Disk.ID] || disks[0].File.Compressed() || disks[0].File.ChunkSize > 0 {
			continue
		}
		seen[disks[0].Disk.ID] = true
		if s, ok := look(ctx, o, disks[0].File.Href); ok {
			r.firmware(disks[0].Disk, s)
		}
	}
}

// look reads the beginning of a disk; not ok where it cannot be read, which
// others tell of.
func look(ctx context.Context, o ovf.Opener, href string) (*beginning, bool) {
	f, err := o.Open(ctx, href)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	kind, err := disk.Detect(f, f.Size())
	if err != nil || kind.Format == "" {
		return nil, false
	}
	img, err := formats.Open(f, f.Size(), formats.Source{Name: href, Declared: kind.Format})
	if err != nil {
		return nil, false
	}
	defer img.Close()
	s := &beginning{}
	_, err = img.ReadAt(s.b[:], 0)
	return s, err == nil || err == io.EOF
}
