package server

import (
	"net/http"
	"path"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// isRecord: Jobs, Events and their logs tell what happened, ResourceMetadata
// what the cloud is. Only an administrator may change or delete them.
func isRecord(typeName string) bool {
	switch typeName {
	case "Job", "Event", "EventLog", "ResourceMetadata":
		return true
	}
	return false
}

// isDiskContent: exports, packages of templates, images and blocks of volumes
// are what machines have on their disks, which only an export gives away.
// Descriptors are not.
func isDiskContent(id string) bool {
	kind, _, _ := strings.Cut(id, "/")
	switch path.Base(id) {
	case "content", "package":
		return true
	}
	return kind == "exports" || kind == "volumes"
}

// mayChange refuses an operator the change of a record.
func (q *request) mayChange(r cimi.Resource) error {
	if q.user.Role != Administrator && isRecord(r.TypeName()) {
		return cimi.Errorf(http.StatusForbidden, "user %s may not change a %s", q.user.Name, r.TypeName())
	}
	return nil
}

// permitted leaves the operations that the user may use (4.2).
func (q *request) permitted(r cimi.Resource) {
	b := r.Base()
	switch {
	case q.user.Role == Reader:
		b.Operations = nil
	case q.user.Role == Operator && isRecord(r.TypeName()):
		var kept []cimi.Operation
		for _, o := range b.Operations {
			if o.Rel != cimi.RelEdit && o.Rel != cimi.RelDelete {
				kept = append(kept, o)
			}
		}
		b.Operations = kept
	}
	if c, ok := r.(*cimi.Collection); ok {
		for _, item := range c.Items {
			q.permitted(item)
		}
	}
}
