package endpoint_test

import (
	"os"
	"path/filepath"
	"strings"
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

// TestNoPasswordIsShown: what cannot be read as an endpoint is shown without
// what may be a password, whatever signs that holds.
func TestNoPasswordIsShown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"https://user:s3cret@h/cimi", "https://user:s3cret/more@h/cimi", "https://user:a@b/s3cret@h/cimi",
		"https://user:s3cret?@h/cimi", "https://user:s3cret#@h/cimi", "https://user:s3cret%zz@h/", "https://user:s3cret@", "https://user:s3cret/x@",
		"https:user:s3cret@h/cimi", "https:/user:s3cret@h/cimi", "ftp://user:s3cret/more@h/cimi", "ftp:user:s3cret@h",
		"vsphere://user:s3cret/more@vc/DC0", "vsphere://user:s3cret@vc/DC0", "vsphere:user:s3cret@vc/DC0",
		"libvirt:qemu+ssh://user:s3cret/more@h/system", "libvirt:qemu+ssh://user:s3cret@h/system",
	} {
		if e, err := endpoint.Parse(name); err == nil {
			t.Errorf("%s is taken as %s", name, e.Location())
		} else if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "more") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{"ftp://h/a@b": "ftp://h/a@b", "ftp://h:21/a": "ftp://h:21/a", "ftp:x": "ftp:x"} {
		if _, err := endpoint.Parse(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want one that names %s", name, err, want)
		}
	}
}
