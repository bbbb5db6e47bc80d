package formats

import (
	"strings"

	"github.com/cimimove/cimimove/ovf/disk"
)

// uris maps the values of ovf:format (DSP0243 9.1) in use to formats, the one
// we write for a format first. Where VMware's URIs have a fragment, it names
// the variant; the content decides between variants.
var uris = [...]struct {
	uri    string
	format disk.Format
}{
	{"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized", disk.VMDK},
	{"http://www.vmware.com/interfaces/specifications/vmdk.html#monolithicSparse", disk.VMDKSparse},
	{"http://www.vmware.com/specifications/vmdk.html#compressed", disk.VMDK},
	{"http://www.vmware.com/specifications/vmdk.html#streamOptimized", disk.VMDK},
	{"http://www.vmware.com/interfaces/interfaces/specifications/vmdk.html#streamOptimized", disk.VMDK},
	{"http://www.vmware.com/interfaces/specifications/vmdk.html#sparse", disk.VMDKSparse},
	{"http://www.vmware.com/specifications/vmdk.html#sparse", disk.VMDKSparse},
	{"http://www.vmware.com/specifications/vmdk.html#monolithicSparse", disk.VMDKSparse},
	{"http://www.vmware.com/interfaces/specifications/vmdk.html", disk.VMDK},
	{"http://www.vmware.com/specifications/vmdk.html", disk.VMDK},
	{"http://www.gnome.org/~markmc/qcow-image-format.html", disk.QCOW2},
	{"https://people.gnome.org/~markmc/qcow-image-format.html", disk.QCOW2},
	{"http://www.microsoft.com/technet/virtualserver/downloads/vhdspec.mspx", disk.VHD},
	{"http://technet.microsoft.com/en-us/library/bb676673.aspx", disk.VHD},
	{"https://www.microsoft.com/en-us/download/details.aspx?id=34750", disk.VHDX},
	{"http://forums.virtualbox.org/viewtopic.php?t=8046", disk.VDI},
	{"http://wiki.rpath.com/wiki/rBuilder_Online:Raw_Filesystem_Image", disk.Raw},
	{"http://www.ecma-international.org/publications/standards/Ecma-119.htm", disk.Raw},
}

// OfURI is the format that an ovf:format names, false for unknown ones. Case
// and the scheme's security do not count.
func OfURI(uri string) (disk.Format, bool) {
	for _, u := range uris {
		if strings.EqualFold(plain(u.uri), plain(uri)) {
			return u.format, true
		}
	}
	return "", false
}

// URI is the ovf:format to write for f, false where none is known.
func URI(f disk.Format) (string, bool) {
	for _, u := range uris {
		if u.format == f {
			return u.uri, true
		}
	}
	return "", false
}

func plain(uri string) string {
	uri = strings.TrimSpace(uri)
	if rest, ok := strings.CutPrefix(uri, "https://"); ok {
		return "http://" + rest
	}
	return uri
}
