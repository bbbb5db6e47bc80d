package client

import (
	"slices"
	"sync"
)

// tagCache remembers the ETag headers of resources that were read, by the
// cimi.ETag of their representation, so that a caller can say "if it is still
// what I read" without seeing headers.
type tagCache struct {
	mu    sync.Mutex
	tags  map[string]string
	order []string
}

const (
	maxTags = 512
	maxTag  = 4 << 10 // bytes of one
)

func (t *tagCache) put(local, header string) {
	if local == "" || header == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(header) > maxTag {
		// What was before it is of another state: better none.
		if _, ok := t.tags[local]; ok {
			delete(t.tags, local)
			t.order = slices.DeleteFunc(t.order, func(l string) bool { return l == local })
		}
		return
	}
	if t.tags == nil {
		t.tags = map[string]string{}
	}
	if _, ok := t.tags[local]; !ok {
		if len(t.order) == maxTags {
			delete(t.tags, t.order[0])
			t.order = t.order[1:]
		}
		t.order = append(t.order, local)
	}
	t.tags[local] = header
}

// get gives the header for a tag: the cloud's own, or the tag itself in quotes.
func (t *tagCache) get(tag string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h, ok := t.tags[tag]; ok {
		return h
	}
	if len(tag) > 1 && (tag[0] == '"' || tag[:2] == "W/") || tag == "*" {
		return tag
	}
	return `"` + tag + `"`
}
