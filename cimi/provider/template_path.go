package provider

import (
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// templatePath are the ids of the SystemTemplates that one is within, outermost
// first; "" for those by value. A template that is within itself by reference
// would describe a System without end.
type templatePath []string

// enter is the path inside of what ref gives.
func (p templatePath) enter(ref *cimi.Ref[cimi.SystemTemplate]) (templatePath, error) {
	id := plainID(cimi.HrefOf(ref))
	if i := slices.Index(p, id); i >= 0 && id != "" {
		return nil, cimi.Errorf(http.StatusBadRequest, "systemTemplate: it is within itself: %s", strings.Join(append(slices.Clone(p[i:]), id), " > "))
	}
	return append(slices.Clone(p), id), nil
}
