package edit

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

func (e *editor) addresses() error {
	seen := map[string]string{}
	random := e.opts.Random
	if random == nil {
		random = rand.Reader
	}
	switch e.opts.MAC {
	case "", KeepMAC, RegenerateMAC, StripMAC:
	default:
		return refuse("MAC policy", "%q is none, expected keep, regenerate or strip", e.opts.MAC)
	}
	return e.sections(func(c ovf.Content, h ovf.VirtualHardware) error {
		byID := map[string]string{}
		for _, it := range h.Items() {
			if it.ResourceType != ovf.ResourceEthernet || it.Marker() {
				continue
			}
			old, mac := it.Address, ""
			object := "VirtualSystem " + c.ID + ", item " + it.InstanceID
			switch e.opts.MAC {
			case StripMAC:
			case RegenerateMAC:
				if mac = byID[it.InstanceID]; mac == "" {
					var err error
					if mac, err = newMAC(random, seen); err != nil {
						return err
					}
					byID[it.InstanceID] = mac
				}
			default:
				key := bare(old)
				if other, ok := seen[key]; ok && key != "" && other != object {
					e.find(RuleMAC, object, "the MAC address %s is that of %s too", old, other)
				}
				seen[key] = object
				continue
			}
			name := "Address"
			if it.Field(name) == "" && it.Field("MACAddress") != "" {
				name = "MACAddress"
			}
			if err := it.SetField(name, mac); err != nil {
				return err
			}
			if m, ok := c.VirtualBox(); ok && old != "" {
				m.ReplaceMAC(old, mac)
			}
		}
		return nil
	})
}

func bare(mac string) string {
	return strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "").Replace(mac))
}

// newMAC is a locally administered unicast address that is not in seen.
func newMAC(random io.Reader, seen map[string]string) (string, error) {
	for {
		var b [6]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("a new MAC address: %w", err)
		}
		b[0] = b[0]&^1 | 2
		mac := fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
		if _, taken := seen[bare(mac)]; !taken {
			seen[bare(mac)] = mac
			return mac, nil
		}
	}
}
