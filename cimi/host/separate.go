package host

import (
	"fmt"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// separate gives each disk whose content is its own by now a File of its own:
// one that was blank in the descriptor and was written to, and one of several
// that began with the same File. Instances of a quantity stand in one element;
// where their content is not the same any more the System cannot be written.
func separate(env *ovf.Envelope, s *System, byOVFID map[string]*Disk, taken map[string]bool) error {
	for d := range s.AllDisks() {
		if first := byOVFID[d.OVFID]; first != nil && first != d && (first.ContentDigest != d.ContentDigest || first.ContentDigest == "" && first.ContentBytes > 0) {
			return fmt.Errorf("disks %s and %s are one in the descriptor and their contents differ by now: %w", first.Name, d.Name, ErrUnsupported)
		}
	}
	ids := map[string]bool{}
	for _, f := range env.Files() {
		ids[f.ID] = true
	}
	content := map[string]string{} // by File
	for _, od := range env.Disks() {
		d, ok := byOVFID[od.ID]
		if !ok || d.ContentDigest == "" && d.ContentBytes == 0 {
			continue
		}
		now := d.ContentDigest
		if now == "" {
			now = "of " + d.ID // written to since: nothing tells that it is that of another
		}
		if !od.Blank() {
			was, shared := content[od.FileRef]
			if !shared {
				content[od.FileRef] = now
				continue
			}
			if was == now {
				continue
			}
		} else if d.ContentDigest == disk.NewDigester(d.ContentBytes, nil).Sum().String() {
			continue // zeros, as before
		}
		id := freeName(ids, "file-"+od.ID)
		if err := env.AddFile(ovf.File{ID: id, Href: freeName(taken, cleanOr(od.ID)+".vmdk"), Size: 0}); err != nil {
			return err
		}
		od.SetFileRef(id)
		content[id] = now
	}
	return nil
}
