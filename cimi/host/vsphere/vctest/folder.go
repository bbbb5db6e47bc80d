package vctest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

const folderPrefix = "/folder/"

// descriptor is what lies beside a flat disk on VMFS; the simulator's says that
// there is a parent.
const descriptor = `# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="vmfs"

RW %d VMFS "%s-flat.vmdk"

ddb.adapterType = "lsilogic"
`

// withContent has the file access of datastores give the content of flat disks,
// of which the simulator keeps none: as the machine's snapshot shows it where
// there is one. The disk of a machine that runs without one is locked.
func (v *VCenter) withContent(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := strings.CutPrefix(r.URL.Path, folderPrefix)
		if !ok || r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		v.mu.Lock()
		hook := v.folder
		v.mu.Unlock()
		if hook != nil {
			if status := hook(name); status != 0 {
				http.Error(w, "not now", status)
				return
			}
		}
		at, flat := strings.CutSuffix(name, "-flat.vmdk")
		at = strings.TrimSuffix(at, ".vmdk")
		c, vm := v.ownerOf(object.DatastorePath{Datastore: r.URL.Query().Get("dsName"), Path: at + ".vmdk"})
		switch {
		case vm == nil:
			next.ServeHTTP(sending{w, v}, r)
			return
		case !flat:
			fmt.Fprintf(sending{w, v}, descriptor, c.capacity/512, path.Base(at))
			return
		case vm.Snapshot != nil:
			c.file.Path += still
		case vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn:
			http.Error(w, "locked", http.StatusInternalServerError)
			return
		}
		if err := v.giveFlat(w, r, c); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

// ownerOf is the machine that has the disk, and which of its files that is.
func (v *VCenter) ownerOf(p object.DatastorePath) (content, *simulator.VirtualMachine) {
	for _, e := range v.model.Map().All("VirtualMachine") {
		vm := e.(*simulator.VirtualMachine)
		for _, c := range contents(vm.Config.Hardware.Device, false) {
			if c.file == p {
				return c, vm
			}
		}
	}
	return content{}, nil
}

func (v *VCenter) giveFlat(w http.ResponseWriter, r *http.Request, c content) error {
	img, changed, closer, err := v.imageOf(c)
	if err != nil {
		return err
	}
	defer closer()
	http.ServeContent(sending{w, v}, r, "", changed, io.NewSectionReader(img, 0, c.capacity))
	return nil
}

// imageOf opens the content of a disk, and tells when it was last written to.
func (v *VCenter) imageOf(c content) (img disk.Image, changed time.Time, closer func(), err error) {
	place, err := v.stored(c.file)
	if err != nil {
		return nil, changed, nil, err
	}
	f, err := os.Open(place)
	if errors.Is(err, os.ErrNotExist) {
		return grown{raw.New(bytes.NewReader(nil), 0), c.capacity}, changed, func() {}, nil
	}
	if err != nil {
		return nil, changed, nil, err
	}
	st, err := f.Stat()
	if err == nil {
		img, err = vmdk.Open(f, st.Size(), place)
	}
	if err != nil {
		return nil, changed, nil, errors.Join(err, f.Close())
	}
	return grown{img, c.capacity}, st.ModTime(), func() { f.Close() }, nil
}

// Folder sets what answers instead of the file access of datastores: a status,
// or 0 to go on.
func (v *VCenter) Folder(f func(file string) int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.folder = f
}
