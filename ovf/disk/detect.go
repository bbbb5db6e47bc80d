package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
)

// HeaderSize is how many first bytes DetectHeader wants to see.
const HeaderSize = 4096

// Kind is what content turned out to be. Format is empty where no magic is
// known; Other then names a known thing that is no disk format of ours, such
// as "gzip".
type Kind struct {
	Format  Format
	Variant string // as in Info, where the header tells
	Other   string
}

func (k Kind) String() string {
	switch {
	case k.Other != "":
		return k.Other
	case k.Format == "":
		return "of no known format"
	case k.Variant != "":
		return string(k.Format) + " (" + k.Variant + ")"
	}
	return string(k.Format)
}

const (
	vhdCookie    = "conectix"
	vdiSignature = 0xbeda107f
	vdiOffset    = 64
)

const luks = "luks"

// others are signatures of what may lie where a disk is expected.
var others = [...]struct{ magic, name string }{
	{"\x1f\x8b", "gzip"},
	{"BZh", "bzip2"},
	{"\xfd7zXZ\x00", "xz"},
	{"\x28\xb5\x2f\xfd", "zstd"},
	{"PK\x03\x04", "zip"},
	{"COWD", "vmdk (vmfsSparse)"},
	{"\xbe\xba\xfe\xca\x00\x00\x00\x00", "vmdk (seSparse)"},
	{"QFI\xfb\x00\x00\x00\x01", "qcow (version 1)"},
	{"QED\x00", "qed"},
	{"WithoutFreeSpace", "parallels"},
	{"WithouFreSpacExt", "parallels"},
	{"Bochs Virtual HD Image", "bochs"},
	{"EVF\x09\x0d\x0a\xff\x00", "ewf"},
	{"LUKS\xba\xbe", luks},
}

var (
	createType        = regexp.MustCompile(`(?im)^[ \t]*createType[ \t]*=[ \t]*"?([A-Za-z0-9]{1,40})`)
	descriptorVersion = regexp.MustCompile(`(?i)^version\s*=\s*[1-9]$`)
)

// DetectHeader tells the format from the first bytes of an image, HeaderSize
// where there are as many. A fixed VHD shows only at its end: see Detect.
func DetectHeader(b []byte) Kind {
	le := binary.LittleEndian
	switch {
	case bytes.HasPrefix(b, []byte("KDMV")):
		if len(b) >= 12 && le.Uint32(b[8:])&(1<<16) != 0 {
			return Kind{Format: VMDK, Variant: "streamOptimized"}
		}
		return Kind{Format: VMDKSparse, Variant: "monolithicSparse"}
	case isDescriptor(b):
		k := Kind{Format: VMDK, Variant: "descriptor"}
		if m := createType.FindSubmatch(b); m != nil {
			k.Variant = string(m[1])
		}
		return k
	case bytes.HasPrefix(b, []byte(vhdCookie)):
		return Kind{Format: VHD, Variant: "dynamic"}
	case bytes.HasPrefix(b, []byte("vhdxfile")):
		return Kind{Format: VHDX}
	case len(b) >= vdiOffset+4 && le.Uint32(b[vdiOffset:]) == vdiSignature:
		return Kind{Format: VDI}
	}
	for _, o := range others {
		if bytes.HasPrefix(b, []byte(o.magic)) {
			return Kind{Other: o.name}
		}
	}
	if bytes.HasPrefix(b, []byte("QFI\xfb")) {
		return Kind{Format: QCOW2}
	}
	return Kind{}
}

// isDescriptor: VMware's descriptor files open with the comment "# Disk
// DescriptorFile", of which white space and case vary by who wrote it. Some have
// other comments first, or none: as for qemu and VirtualBox, the version makes
// them what they are.
func isDescriptor(b []byte) bool {
	text := strings.TrimPrefix(string(b[:min(len(b), HeaderSize)]), "\ufeff")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case line[0] != '#':
			return descriptorVersion.MatchString(line) && createType.Match(b)
		case strings.HasPrefix(strings.ToLower(strings.Join(strings.Fields(line), "")), "#diskdescriptorfile"):
			return true
		}
	}
	return false
}

// Detect tells the format from an image's content. An unknown one is no error
// but an empty Format.
func Detect(r io.ReaderAt, size int64) (Kind, error) {
	b := make([]byte, min(HeaderSize, size))
	if err := ReadFull(r, b, 0); err != nil {
		return Kind{}, err
	}
	k := DetectHeader(b)
	if k.Format != "" || k.Other != "" || size < 512 {
		return k, nil
	}
	var end [1 + len(vhdCookie)]byte
	if err := ReadFull(r, end[:], size-512); err != nil {
		return Kind{}, err
	}
	// The footer is of 512 bytes, or of 511 before Virtual PC 2004.
	if string(end[:len(vhdCookie)]) == vhdCookie || string(end[1:]) == vhdCookie {
		return Kind{Format: VHD, Variant: "fixed"}, nil
	}
	return k, nil
}

// extensions of file names that promise a format.
var extensions = map[string]Format{
	".raw": Raw, ".img": Raw, ".vmdk": VMDK, ".qcow2": QCOW2,
	".vhd": VHD, ".vhdx": VHDX, ".vdi": VDI,
}

// FormatOfName is the format a file name promises by its extension, empty
// where it promises none.
func FormatOfName(name string) Format {
	return extensions[strings.ToLower(path.Ext(strings.ReplaceAll(name, `\`, "/")))]
}

// Resolve decides what an image is from its detected kind, the declared format
// (empty: none) and its name. Content and declaration, or without one content
// and extension, must agree; the two VMDK variants count as one format.
// Content without magic is raw only where that is declared or the name ends in
// .raw or .img, and so is an encrypted disk. Otherwise the error is an ErrWrongFormat, or an ErrUnsupported
// for content that is known and not handled.
func Resolve(k Kind, declared Format, name string) (Format, error) {
	promised, from := declared, "declared "
	if promised == "" {
		promised, from = FormatOfName(name), "a name that says "
	}
	const asItIs = "--from raw, or in a package a name in .raw or .img, takes it as it is"
	hint := ""
	switch {
	case declared != "":
	case k.Format != "":
		hint = fmt.Sprintf("rename it, or say what it is by --from %s or its ovf:format", k.Format)
	case k.Other == "" && promised == VMDK:
		hint = "if it is an extent, such as disk-flat.vmdk, give its descriptor, disk.vmdk; " + asItIs
	case k.Other == "" && promised != "":
		hint = asItIs
	}
	wrong := func(expected string) error {
		return &FormatError{Name: name, Expected: expected, Found: k.String(), Hint: hint}
	}
	switch {
	case k.Format == "" && k.Other == "":
		switch promised {
		case Raw:
			return Raw, nil
		case "":
			return "", wrong("a known disk format (that a disk is raw is said by --from raw, its ovf:format, or a name in .raw or .img)")
		}
		return "", wrong(string(promised))
	case promised == Raw && k.Other == luks:
		return Raw, nil // an encrypted disk is one: its content is what it is
	case promised != "" && family(promised) != family(k.Format):
		return "", wrong(from + string(promised))
	case k.Other != "":
		return "", &UnsupportedError{Name: name, Feature: k.Other}
	}
	return k.Format, nil
}

func family(f Format) Format {
	if f == VMDKSparse {
		return VMDK
	}
	return f
}
