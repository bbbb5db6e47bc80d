package env

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// folder is a folder of the image.
type folder struct {
	name    string
	parent  *folder
	depth   int
	folders []*folder
	files   []*file
}

type file struct {
	name    string
	content []byte
}

// add puts a file below the folder, making the folders on its way.
func (f *folder) add(names []string, content []byte) error {
	for len(names) > 1 {
		if err := checkName(names[0]); err != nil {
			return err
		}
		i := slices.IndexFunc(f.folders, func(k *folder) bool { return k.name == names[0] })
		if i < 0 {
			if f.depth+1 >= maxDepth {
				return fmt.Errorf("lies in more than %d folders", maxDepth)
			}
			if slices.ContainsFunc(f.files, func(k *file) bool { return k.name == names[0] }) {
				return fmt.Errorf("%q is a file and a folder", names[0])
			}
			f.folders = append(f.folders, &folder{name: names[0], parent: f, depth: f.depth + 1})
			i = len(f.folders) - 1
		}
		f, names = f.folders[i], names[1:]
	}
	name := names[0]
	if err := checkName(name); err != nil {
		return err
	}
	taken := slices.ContainsFunc(f.files, func(k *file) bool { return k.name == name }) ||
		slices.ContainsFunc(f.folders, func(k *folder) bool { return k.name == name })
	if taken {
		return fmt.Errorf("%q stands there already", name)
	}
	f.files = append(f.files, &file{name, content})
	return nil
}

// checkName: what Joliet lets stand in a name.
func checkName(name string) error {
	if n := len(ucs2(name)) / 2; n == 0 || n > maxName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || strings.ContainsRune(`*/:;?\`, r) }) {
		return fmt.Errorf("%q is no name for a file on a CD: 1 to %d characters, none of *:;?\\", name, maxName)
	}
	return nil
}

// all are the folders in the order of the path table: by depth, then parents.
func (f *folder) all() []*folder {
	out := []*folder{f}
	for i := 0; i < len(out); i++ {
		slices.SortFunc(out[i].folders, func(a, b *folder) int { return cmp.Compare(a.name, b.name) })
		out = append(out, out[i].folders...)
	}
	return out
}

// view is the folders as one kind of reader sees them: with the names of ISO
// 9660, or those of Joliet.
type view struct {
	joliet  bool
	folders []*folder
	at      map[*folder]int // sectors
	tables  [2]int          // sectors of the path tables, little-endian and big-endian
	names   map[any][]byte  // of folders and files
}

func newView(folders []*folder, joliet bool) *view {
	v := &view{joliet: joliet, folders: folders, at: map[*folder]int{}, names: map[any][]byte{}}
	for _, f := range folders {
		taken := map[string]bool{}
		for _, k := range f.folders {
			v.names[k] = v.name(k.name, false, taken)
		}
		for _, k := range f.files {
			v.names[k] = v.name(k.name, true, taken)
		}
	}
	return v
}

// name is a name as the view has it: eight letters, three after the period, in
// capitals, where it is not Joliet's.
func (v *view) name(name string, isFile bool, taken map[string]bool) []byte {
	if v.joliet {
		return ucs2(name)
	}
	plain := func(s string, most int) string {
		s = strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z':
				return r - 'a' + 'A'
			case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
				return r
			}
			return '_'
		}, s)
		return s[:min(len(s), most)]
	}
	base, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 && isFile {
		base, ext = name[:i], name[i+1:]
	}
	base, ext = plain(base, 8), plain(ext, 3)
	whole := func(base string) string {
		if !isFile {
			return base
		}
		return base + "." + ext + ";1"
	}
	s := whole(base)
	for n := 1; taken[s]; n++ {
		suffix := fmt.Sprint(n)
		s = whole(base[:min(len(base), 8-len(suffix))] + suffix)
	}
	taken[s] = true
	return []byte(s)
}

func (v *view) tableBytes() int {
	n := 0
	for i, f := range v.folders {
		name := v.names[f]
		if i == 0 {
			name = []byte{0}
		}
		n += 8 + len(name) + len(name)&1
	}
	return n
}

func (v *view) tableSectors() int { return (v.tableBytes() + sector - 1) / sector }

// writeTables writes both path tables (ECMA-119 9.4).
func (v *view) writeTables(image []byte, folders []*folder) {
	number := map[*folder]int{}
	for i, f := range folders {
		number[f] = i + 1
	}
	for i, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		b := image[v.tables[i]*sector:]
		for n, f := range folders {
			name := v.names[f]
			if n == 0 {
				name = []byte{0}
			}
			b[0] = byte(len(name))
			order.PutUint32(b[2:], uint32(v.at[f]))
			order.PutUint16(b[6:], uint16(number[f.parent]))
			copy(b[8:], name)
			b = b[8+len(name)+len(name)&1:]
		}
	}
}

// entry is one record of a folder.
type entry struct {
	name   []byte
	folder *folder
	file   *file
}

// entries are those of a folder, sorted by name as ECMA-119 9.3 wants.
func (v *view) entries(f *folder) []entry {
	var out []entry
	for _, k := range f.folders {
		out = append(out, entry{v.names[k], k, nil})
	}
	for _, k := range f.files {
		out = append(out, entry{v.names[k], nil, k})
	}
	slices.SortFunc(out, func(a, b entry) int { return bytes.Compare(a.name, b.name) })
	return out
}

// place walks through the records of a folder: none crosses a sector.
func (v *view) place(f *folder, visit func(at int, e entry)) (end int) {
	at := 2 * 34 // itself and its parent
	for _, e := range v.entries(f) {
		n := 33 + len(e.name)
		n += n & 1
		if at/sector != (at+n-1)/sector {
			at = (at/sector + 1) * sector
		}
		visit(at, e)
		at += n
	}
	return at
}

func (v *view) sectorsOf(f *folder) int {
	return (v.place(f, func(int, entry) {}) + sector - 1) / sector
}

func (v *view) writeFolder(b []byte, f *folder, contentAt map[*file]int, when time.Time) {
	size := func(f *folder) uint32 { return uint32(v.sectorsOf(f) * sector) }
	record(b, uint32(v.at[f]), size(f), 2, []byte{0}, when)
	record(b[34:], uint32(v.at[f.parent]), size(f.parent), 2, []byte{1}, when)
	v.place(f, func(at int, e entry) {
		if e.folder != nil {
			record(b[at:], uint32(v.at[e.folder]), size(e.folder), 2, e.name, when)
			return
		}
		record(b[at:], uint32(contentAt[e.file]), uint32(len(e.file.content)), 0, e.name, when)
	})
}
