package vmdk

import (
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"

	"github.com/cimimove/cimimove/ovf/disk"
)

// descriptorSectors is the room VMware leaves for the embedded descriptor.
const descriptorSectors = 20

// Adapter is the disk controller named in a descriptor (ddb.adapterType).
type Adapter string

const (
	LSILogic Adapter = "lsilogic"
	BusLogic Adapter = "buslogic"
	IDE      Adapter = "ide"
)

// Geometry is the disk geometry VMware's tools write for a disk of capacity
// sectors: cylinders are capped for IDE only.
func geometry(capacity uint64, adapter Adapter) (cylinders, heads, sectors uint64) {
	switch {
	case adapter == IDE:
		heads, sectors = 16, 63
	case capacity < 1<<30/sector:
		heads, sectors = 64, 32
	case capacity < 2<<30/sector:
		heads, sectors = 128, 32
	default:
		heads, sectors = 255, 63
	}
	cylinders = capacity / (heads * sectors)
	if adapter == IDE {
		cylinders = min(cylinders, 16383)
	}
	return max(cylinders, 1), heads, sectors
}

// descriptor is the text embedded in an image of capacity sectors, padded to
// its room. The content is not known when it is written, so that the content
// id is derived from the capacity and stays the same between runs.
func descriptor(capacity uint64, adapter Adapter, createType string) []byte {
	cylinders, heads, sectors := geometry(capacity, adapter)
	cid := crc32.ChecksumIEEE(fmt.Appendf(nil, "cimimove %d", capacity))
	if cid >= 0xfffffffe || cid == 0 { // values with a meaning of their own
		cid = 1
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Disk DescriptorFile\nversion=1\nCID=%08x\nparentCID=ffffffff\ncreateType=\"%s\"\n", cid, createType)
	access := "RW"
	if createType == "streamOptimized" {
		access = "RDONLY"
	}
	fmt.Fprintf(&b, "\n# Extent description\n%s %d SPARSE \"disk.vmdk\"\n", access, capacity)
	b.WriteString("\n# The Disk Data Base\n#DDB\n\n")
	fmt.Fprintf(&b, "ddb.adapterType = \"%s\"\n", adapter)
	fmt.Fprintf(&b, "ddb.geometry.cylinders = \"%d\"\nddb.geometry.heads = \"%d\"\nddb.geometry.sectors = \"%d\"\n", cylinders, heads, sectors)
	fmt.Fprintf(&b, "ddb.longContentID = \"%08x%08x%08x%08x\"\n", cid, ^cid, cid^0x5bd1e995, cid)
	b.WriteString("ddb.toolsVersion = \"2147483647\"\nddb.virtualHWVersion = \"4\"\n")
	out := make([]byte, descriptorSectors*sector)
	copy(out, b.String())
	return out
}

// said is what a descriptor says of where the rest of the content is.
type said struct {
	delta       bool
	stream      bool   // streamOptimized
	cid, parent string // parentCID; parentFileNameHint, as written
}

// extentName is how VMware calls the files of a twoGbMaxExtentSparse disk.
var extentName = regexp.MustCompile(`(?i)-s[0-9]{3}\.vmdk$`)

// checkWhole refuses what is by its name, and as it does not describe itself, one
// of the files of a disk: it would pass for a smaller one.
func (h *header) checkWhole(name, text string) error {
	if text != "" || h.compressed() || !extentName.MatchString(name) {
		return nil
	}
	return &disk.UnsupportedError{Name: name, Format: disk.VMDK,
		Feature: fmt.Sprintf("one of the files of a disk: give the descriptor, which is called as %s.vmdk", extentName.ReplaceAllString(name, ""))}
}

// check compares with the header: compressed grains would pass for content.
func (s said) check(name string, h *header) error {
	if s.stream && !h.compressed() {
		return corrupt(name, 8, "compressed grains, as the descriptor says", fmt.Sprintf("flags %#x", h.flags))
	}
	return nil
}

func (s said) refused(name string) error {
	return &disk.UnsupportedError{Name: name, Format: disk.VMDK, Feature: "a delta link: the rest of the content is in a parent (parentCID " + s.cid + ")"}
}

// checkDescriptor refuses descriptors that say the content is in other extents too.
func checkDescriptor(name, text string) (said, error) {
	var s said
	unsupported := func(feature string) (said, error) {
		return s, &disk.UnsupportedError{Name: name, Format: disk.VMDK, Feature: feature}
	}
	extents := 0
	text, _, _ = strings.Cut(text, "\x00") // behind it may be what was there before
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if key, value, ok := strings.Cut(line, "="); ok {
			raw := strings.Trim(strings.TrimSpace(value), `"`)
			value = strings.ToLower(raw)
			switch strings.ToLower(strings.TrimSpace(key)) {
			case "parentcid":
				s.delta, s.cid = value != "ffffffff", value
			case "parentfilenamehint":
				s.parent = raw
			case "createtype":
				if s.stream = value == "streamoptimized"; !s.stream && value != "monolithicsparse" {
					return unsupported("createType " + value)
				}
			}
			continue
		}
		if f := strings.Fields(line); len(f) >= 4 && (f[0] == "RW" || f[0] == "RDONLY") {
			if extents++; extents > 1 {
				return unsupported("content spread over several extent files")
			}
		}
	}
	return s, nil
}
