package env

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// ISOOptions of ISO.
type ISOOptions struct {
	Volume string    // volume identifier; empty is OVF ENV
	Time   time.Time // of the file and the volume; the zero value is 1980-01-01
}

const (
	sector   = 2048
	fileName = "ovf-env.xml"
	// Where things lie: the system area takes 16 sectors.
	atPrimary, atJoliet, atEnd = 16, 17, 18
	atPaths, atJolietPaths     = 19, 21 // each little-endian, then big-endian
	atFolders                  = 23     // the primary tree, then Joliet's
)

// ISO is an ISO 9660 image with the document as ovf-env.xml in its root: what
// the transport "iso" gives to the guest (DSP0243 11.2). The name is
// OVF_ENV.XML for readers without the Joliet extension, ovf-env.xml for all
// others. The same document gives the same bytes.
func ISO(document []byte, opts ISOOptions) ([]byte, error) {
	if opts.Volume == "" {
		opts.Volume = "OVF ENV"
	}
	return Image([]File{{Name: fileName, Content: document}}, opts)
}

// File of an Image: in its root, or in one folder below it ("cimi/user-data").
type File struct {
	Name    string
	Content []byte
}

// folder is the root, or a folder below it.
type folder struct {
	name  string
	files []int // indexes
}

// Image is an ISO 9660 image of some small files. Readers without the Joliet
// extension see their names in capitals, with _ for what these may not have. The
// same files give the same bytes.
//
// The libraries at hand shorten names, stage files on disk and write the time of
// the day; a few files are simple enough.
func Image(files []File, opts ISOOptions) ([]byte, error) {
	if opts.Time.IsZero() {
		opts.Time = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	folders := []*folder{{}}
	size := 0
	for i, f := range files {
		dir, name, nested := strings.Cut(f.Name, "/")
		if !nested {
			dir, name = "", f.Name
		}
		if name == "" || strings.Contains(name, "/") || len(f.Name) > 60 {
			return nil, fmt.Errorf("ISO image: %q: expected a short name, in one folder at most", f.Name)
		}
		if int64(len(f.Content)) > 1<<30 {
			return nil, fmt.Errorf("ISO image: %s: %d bytes are too large for the image", f.Name, len(f.Content))
		}
		at := slices.IndexFunc(folders, func(d *folder) bool { return d.name == dir })
		if at < 0 {
			at = len(folders)
			folders = append(folders, &folder{name: dir})
		}
		folders[at].files = append(folders[at].files, i)
		if len(folders) > 8 || len(folders[at].files) > 8 {
			return nil, fmt.Errorf("ISO image: more files than a folder has room for")
		}
		size += (len(f.Content) + sector - 1) / sector
	}
	content := atFolders + 2*len(folders)
	// Readers expect some room behind the last file.
	image := make([]byte, (content+size+150)*sector)
	at := func(n int) []byte { return image[n*sector : (n+1)*sector] }
	extents := make([]uint32, len(files))
	next := content
	for i, f := range files {
		extents[i] = uint32(next)
		copy(image[next*sector:], f.Content)
		next += (len(f.Content) + sector - 1) / sector
	}
	for tree, joliet := range []bool{false, true} {
		root := atFolders + tree*len(folders)
		paths := at(atPaths + 2*tree)
		length := pathTable(paths, folders, root, joliet, binary.LittleEndian)
		pathTable(at(atPaths+2*tree+1), folders, root, joliet, binary.BigEndian)
		volume(at(atPrimary+tree), byte(tree+1), opts, len(image)/sector, length, atPaths+2*tree, uint32(root))
		for i, d := range folders {
			b := at(root + i)
			n := record(b, uint32(root+i), sector, 2, []byte{0}, opts.Time)
			n += record(b[n:], uint32(root), sector, 2, []byte{1}, opts.Time)
			if i == 0 {
				for k, sub := range folders[1:] {
					n += record(b[n:], uint32(root+1+k), sector, 2, isoName(sub.name, joliet, false), opts.Time)
				}
			}
			for _, f := range d.files {
				name := files[f].Name[strings.IndexByte(files[f].Name, '/')+1:]
				n += record(b[n:], extents[f], uint32(len(files[f].Content)), 0, isoName(name, joliet, true), opts.Time)
			}
		}
	}
	copy(at(atEnd), "\xFFCD001\x01")
	return image, nil
}

// isoName is a name as a directory has it: UCS-2 in Joliet, else capitals,
// digits and _ with a version (ECMA-119 7.5, 7.6).
func isoName(name string, joliet, file bool) []byte {
	if joliet {
		return ucs2(name)
	}
	dot := strings.LastIndexByte(name, '.')
	b := []byte(strings.ToUpper(name))
	for i, c := range b {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && (i != dot || !file) {
			b[i] = '_'
		}
	}
	if !file {
		return b
	}
	if dot < 0 {
		b = append(b, '.')
	}
	return append(b, ";1"...)
}

// pathTable writes the folders of a tree (ECMA-119 9.4) and gives its length.
func pathTable(b []byte, folders []*folder, root int, joliet bool, order binary.ByteOrder) int {
	n := 0
	for i, d := range folders {
		name := []byte{0}
		if i > 0 {
			name = isoName(d.name, joliet, false)
		}
		b[n] = byte(len(name))
		order.PutUint32(b[n+2:], uint32(root+i))
		order.PutUint16(b[n+6:], 1)
		copy(b[n+8:], name)
		n += 8 + len(name) + len(name)&1
	}
	return n
}

// both writes a number in both byte orders (ECMA-119 7.2.3, 7.3.3).
func both(b []byte, n uint32, size int) {
	if size == 2 {
		binary.LittleEndian.PutUint16(b, uint16(n))
		binary.BigEndian.PutUint16(b[2:], uint16(n))
		return
	}
	binary.LittleEndian.PutUint32(b, n)
	binary.BigEndian.PutUint32(b[4:], n)
}

// volume writes a volume descriptor (ECMA-119 8.4, 8.5): 1 primary, 2 Joliet.
func volume(b []byte, kind byte, opts ISOOptions, sectors, length, paths int, root uint32) {
	b[0] = kind
	copy(b[1:], "CD001\x01")
	text := func(from, to int, s string) {
		field := b[from:to]
		if kind == 2 {
			for i := 0; i+1 < len(field); i += 2 {
				field[i+1] = ' '
			}
			u := ucs2(s)
			copy(field, u[:min(len(u), len(field)&^1)])
			return
		}
		for i := range field {
			field[i] = ' '
		}
		copy(field, s)
	}
	text(8, 40, "")
	text(40, 72, opts.Volume)
	both(b[80:], uint32(sectors), 4)
	if kind == 2 {
		copy(b[88:], "%/E") // UCS-2, level 3
	}
	both(b[120:], 1, 2)
	both(b[124:], 1, 2)
	both(b[128:], sector, 2)
	both(b[132:], uint32(length), 4)
	binary.LittleEndian.PutUint32(b[140:], uint32(paths))
	binary.BigEndian.PutUint32(b[148:], uint32(paths)+1)
	record(b[156:190], root, sector, 2, []byte{0}, opts.Time)
	for _, f := range [][2]int{{190, 318}, {318, 446}, {446, 574}, {574, 702}, {702, 739}, {739, 776}, {776, 813}} {
		text(f[0], f[1], "")
	}
	stamp := opts.Time.UTC().Format("20060102150405") + "00"
	copy(b[813:], stamp)
	copy(b[830:], stamp)
	copy(b[847:], "0000000000000000")
	copy(b[864:], "0000000000000000")
	b[881] = 1
}

func record(b []byte, extent, size uint32, flags byte, name []byte, when time.Time) int {
	n := 33 + len(name)
	n += n & 1
	b[0] = byte(n)
	both(b[2:], extent, 4)
	both(b[10:], size, 4)
	t := when.UTC()
	copy(b[18:], []byte{byte(t.Year() - 1900), byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0})
	b[25] = flags
	both(b[28:], 1, 2)
	b[32] = byte(len(name))
	copy(b[33:], name)
	return n
}

// ucs2 is big-endian, as Joliet has it.
func ucs2(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.BigEndian.AppendUint16(out, u)
	}
	return out
}
