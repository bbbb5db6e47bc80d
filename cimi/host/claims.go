package host

import "sync"

// Claims are keys that one import at a time works under. The zero value is
// ready for use.
type Claims struct {
	mu   sync.Mutex
	held map[string]bool
}

// Take takes a key; false while another has it.
func (c *Claims) Take(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[key] {
		return false
	}
	if c.held == nil {
		c.held = map[string]bool{}
	}
	c.held[key] = true
	return true
}

// Give gives a key back; one that nobody has is no matter.
func (c *Claims) Give(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, key)
}
