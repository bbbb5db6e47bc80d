package env

import (
	"encoding/binary"
	"fmt"
	"path"
	"strings"
	"time"
	"unicode/utf16"
)

// ISOOptions of ISO and Image.
type ISOOptions struct {
	Volume string    // volume identifier; empty is OVF ENV
	Time   time.Time // of the files and the volume; the zero value is 1980-01-01
	// Files go, with ISO, to the guest beside the document, below the folder ovffiles
	// (EnvironmentFilesSection of OVF 2).
	Files []File
}

// File is a file for the guest: Name is a slash-separated path, in ISOOptions
// below ovffiles.
type File struct {
	Name    string
	Content []byte
}

const (
	sector   = 2048
	document = "ovf-env.xml"
	below    = "ovffiles"
	// Where things lie: the system area takes 16 sectors.
	atPrimary, atJoliet, atEnd, atTables = 16, 17, 18, 19

	maxDepth = 7       // folders in each other, the root among them: ISO 9660 has eight with the file
	maxName  = 64      // characters of a name in Joliet
	maxImage = 2 << 30 // bytes
)

// ISO is an ISO 9660 image with the document as ovf-env.xml in its root: what
// the transport "iso" gives to the guest (DSP0243 11.2). The name is
// OVF_ENV.XML for readers without the Joliet extension, ovf-env.xml for all
// others. The same input gives the same bytes.
func ISO(content []byte, opts ISOOptions) ([]byte, error) {
	if opts.Volume == "" {
		opts.Volume = "OVF ENV"
	}
	files := []File{{Name: document, Content: content}}
	for _, f := range opts.Files {
		name, err := cut(f.Name)
		if err != nil {
			return nil, fmt.Errorf("ISO image: file %q: %w", f.Name, err)
		}
		files = append(files, File{Name: path.Join(below, name), Content: f.Content})
	}
	return Image(files, opts)
}

// Image is an ISO 9660 image of some files, of which opts.Files is no part.
// Readers without the Joliet extension see their names in capitals, with _ for
// what these may not have. The same files give the same bytes.
//
// The libraries at hand shorten the names, stage files on disk and write the
// time of the day; a few files in a few folders are simple enough.
func Image(files []File, opts ISOOptions) ([]byte, error) {
	if opts.Time.IsZero() {
		opts.Time = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	root := &folder{}
	root.parent = root
	for _, f := range files {
		name, err := cut(f.Name)
		if err == nil {
			err = root.add(strings.Split(name, "/"), f.Content)
		}
		if err != nil {
			return nil, fmt.Errorf("ISO image: file %q: %w", f.Name, err)
		}
	}
	return root.image(opts)
}

// cut cleans a path; one that leaves its folder is refused.
func cut(name string) (string, error) {
	clean := path.Clean(strings.TrimPrefix(name, "/"))
	if clean == "." || clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("is no path of a file")
	}
	return clean, nil
}

// image lays the folders and files out, primary and Joliet, and writes them.
func (root *folder) image(opts ISOOptions) ([]byte, error) {
	folders := root.all()
	var views [2]*view
	next := atTables
	for i := range views {
		views[i] = newView(folders, i == 1)
		views[i].tables = [2]int{next, next + views[i].tableSectors()}
		next += 2 * views[i].tableSectors()
	}
	for _, v := range views {
		for _, f := range folders {
			v.at[f] = next
			next += v.sectorsOf(f)
		}
	}
	contentAt := map[*file]int{}
	for _, f := range folders {
		for _, k := range f.files {
			contentAt[k] = next
			next += (len(k.content) + sector - 1) / sector
			if int64(next)*sector > maxImage {
				return nil, fmt.Errorf("ISO image: the files are longer than %d bytes together", int64(maxImage))
			}
		}
	}
	// Readers expect some room behind the last file.
	image := make([]byte, (next+150)*sector)
	for i, v := range views {
		volume(image[(atPrimary+i)*sector:], v, opts, len(image)/sector, root)
		v.writeTables(image, folders)
		for _, f := range folders {
			v.writeFolder(image[v.at[f]*sector:], f, contentAt, opts.Time)
		}
	}
	copy(image[atEnd*sector:], "\xFFCD001\x01")
	for k, at := range contentAt {
		copy(image[at*sector:], k.content)
	}
	return image, nil
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
func volume(b []byte, v *view, opts ISOOptions, sectors int, root *folder) {
	b[0] = 1
	if v.joliet {
		b[0] = 2
	}
	copy(b[1:], "CD001\x01")
	text := func(from, to int, s string) {
		field := b[from:to]
		if v.joliet {
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
	if v.joliet {
		copy(b[88:], "%/E") // UCS-2, level 3
	}
	both(b[120:], 1, 2)
	both(b[124:], 1, 2)
	both(b[128:], sector, 2)
	both(b[132:], uint32(v.tableBytes()), 4)
	binary.LittleEndian.PutUint32(b[140:], uint32(v.tables[0]))
	binary.BigEndian.PutUint32(b[148:], uint32(v.tables[1]))
	record(b[156:190], uint32(v.at[root]), uint32(v.sectorsOf(root)*sector), 2, []byte{0}, opts.Time)
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

// record writes an entry of a folder (ECMA-119 9.1) and answers its length.
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
