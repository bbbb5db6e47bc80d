package libvirt

import (
	"context"
	"encoding/hex"
	"encoding/xml"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
)

// networks are those of the hypervisor, which no System owns: each stands in a
// place of its own (host.Maker), under the name that --net takes.
func (h *Host) networks(ctx context.Context) ([]*host.System, error) {
	var out []*host.System
	add := func(id, name, description string) {
		n := &host.Network{ID: id, Name: name, Description: description, External: true}
		out = append(out, &host.System{ID: id, Name: name, Holder: host.HoldsNetwork, Networks: []*host.Network{n}})
	}
	err := h.conn.call(ctx, func(l *lv.Libvirt) error {
		nets, _, err := l.ConnectListAllNetworks(1, 0)
		if err != nil {
			return err
		}
		out = nil
		for _, n := range nets {
			add(hex.EncodeToString(n.UUID[:]), n.Name, "a network of libvirt's")
		}
		for _, name := range bridges(l) {
			add(derived("bridge", name), "bridge:"+name, "a bridge of the hypervisor's")
		}
		add(derived("network", userNetwork), userNetwork, "QEMU's own way out, which nothing reaches from outside")
		return nil
	})
	slices.SortStableFunc(out, func(a, b *host.System) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// bridges are those that the hypervisor tells of; not every one does.
func bridges(l *lv.Libvirt) (out []string) {
	all, _, err := l.ConnectListAllInterfaces(1, 0)
	if err != nil {
		return nil
	}
	for _, i := range all {
		text, err := l.InterfaceGetXMLDesc(i, 0)
		if err != nil {
			continue
		}
		var x struct {
			Type string `xml:"type,attr"`
		}
		if xml.Unmarshal([]byte(text), &x) == nil && x.Type == "bridge" {
			out = append(out, i.Name)
		}
	}
	return out
}
