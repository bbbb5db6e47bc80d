package host

import (
	"crypto/rand"
	"fmt"
	"net"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// property finds the Property that KEY or CONTENT/KEY means, KEY as in the OVF
// environment (DSP0243 9.5, 11.2).
func property(env *ovf.Envelope, key string) (ovf.Property, bool) {
	for c := range env.Contents() {
		for _, p := range c.Properties() {
			if p.EnvKey() == key || c.ID+"/"+p.EnvKey() == key {
				return p, true
			}
		}
	}
	return ovf.Property{}, false
}

// checkProperties refuses values of properties that are not there or that a
// user may not set (9.5).
func checkProperties(env *ovf.Envelope, values map[string]string) error {
	for key := range values {
		p, ok := property(env, key)
		if !ok {
			return fmt.Errorf("property %q is not in the package: %w", key, ErrUnsupported)
		}
		if !p.UserConfigurable {
			return fmt.Errorf("property %q is not userConfigurable (DSP0243 9.5): %w", key, ErrUnsupported)
		}
	}
	return nil
}

// propertyValues is the values under their plain keys too, for capacities.
func propertyValues(values map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range values {
		if _, plain, ok := strings.Cut(k, "/"); ok {
			out[plain] = v
		}
		out[k] = v
	}
	return out
}

// newMAC makes a locally administered address of one card.
func newMAC() string {
	b := make(net.HardwareAddr, 6)
	rand.Read(b) // never fails
	b[0] = b[0]&^0x01 | 0x02
	return b.String()
}
