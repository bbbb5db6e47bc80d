package check

import (
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// mostNamed bounds how many members a hint lists.
const mostNamed = 8

// instead says which disks need a missing File and what the package has in its
// place; object is as the finding names it, "file ID".
func instead(pkg ovf.Package, object string) string {
	f, ok := pkg.Envelope().File(strings.TrimPrefix(object, "file "))
	o, anywhere := pkg.(ovf.Opener)
	if !ok || !anywhere {
		return ""
	}
	var hint []string
	var disks []string
	for _, d := range pkg.Envelope().Disks() {
		if d.FileRef == f.ID {
			disks = append(disks, d.ID)
		}
	}
	if len(disks) > 0 {
		hint = append(hint, "disk "+strings.Join(disks, ", ")+" needs it")
	}
	var names []string
	for _, m := range o.Members() {
		names = append(names, m.Name)
	}
	if near := ovf.NearestMember(f.Href, names); near != "" {
		hint = append(hint, fmt.Sprintf("did you mean %q?", near))
	} else if len(names) > 0 {
		more := ""
		if len(names) > mostNamed {
			names, more = names[:mostNamed], ", …"
		}
		hint = append(hint, "it holds "+strings.Join(names, ", ")+more)
	}
	return strings.Join(hint, "; ")
}
