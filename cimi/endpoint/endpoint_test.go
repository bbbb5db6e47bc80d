package endpoint_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/cimi/endpoint"
)

// TestLocation: a cloud has one, however it is called.
func TestLocation(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"local:" + dir:  "local:" + dir,
		"local:" + link: "local:" + dir,
		"local:" + dir + "/../" + filepath.Base(dir): "local:" + dir,
		"local:" + dir + "/none":                     "local:" + dir + "/none",
		"https://Cloud.example/cimi/":                "https://cloud.example/cimi",
		"https://cloud.example/cimi?x=1":             "https://cloud.example/cimi",
		"vsphere://vc.example/DC0?datastore=fast":    "vsphere://vc.example/DC0",
		"vsphere://VC.example/DC0":                   "vsphere://vc.example/DC0",
		"libvirt:qemu:///system?pool=images":         "libvirt:qemu:///system",
		"libvirt:qemu+ssh://kvm.example/system":      "libvirt:qemu+ssh://kvm.example/system",
	} {
		e, err := endpoint.Parse(name)
		if err != nil || e.Location() != want {
			t.Errorf("%s: %s, want %s (%v)", name, e.Location(), want, err)
		}
	}
}
