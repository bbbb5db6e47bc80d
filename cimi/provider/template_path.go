package provider

import (
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// templatePath are the ids of the templates that one is within, outermost
// first; "" for those by value. A template that is within itself by reference
// would describe a System, or a Network, without end.
type templatePath []string

// enter is the path inside of what ref gives.
func (p templatePath) enter(ref *cimi.Ref[cimi.SystemTemplate]) (templatePath, error) {
	return p.within("systemTemplate", cimi.HrefOf(ref))
}

// enterNetwork is enter for a Network with subnetworks.
func (p templatePath) enterNetwork(ref *cimi.Ref[cimi.NetworkTemplate]) (templatePath, error) {
	return p.within("networkTemplate", cimi.HrefOf(ref))
}

func (p templatePath) within(attribute, href string) (templatePath, error) {
	id := plainID(href)
	if i := slices.Index(p, id); i >= 0 && id != "" {
		return nil, cimi.Errorf(http.StatusBadRequest, "%s: it is within itself: %s", attribute, strings.Join(append(slices.Clone(p[i:]), id), " > "))
	}
	return append(slices.Clone(p), id), nil
}
