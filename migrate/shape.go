package migrate

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// Shape is the configuration of a System: what has to be the same on both
// sides, in CIMI's units.
type Shape struct {
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	Machines    []MachineShape `json:"machines,omitempty"`
	Disks       []DiskShape    `json:"disks,omitempty"`
	Networks    []NetworkShape `json:"networks,omitempty"`
	// Systems are those nested in it, outer ones first.
	Systems []SystemShape `json:"systems,omitempty"`
}

// SystemShape is a nested System. In is the id of the one that it is in, empty
// for the outermost.
type SystemShape struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	In          string `json:"in,omitempty"`
}

// MachineShape is a Machine. Disks and NICs are how many hang on it.
type MachineShape struct {
	ID          string `json:"id"`
	OVFID       string `json:"ovfId,omitempty"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	State       string `json:"state,omitempty"`
	CPU         int64  `json:"cpu"`
	CPUArch     string `json:"cpuArch,omitempty"`
	MemoryKiB   int64  `json:"memoryKiB"`
	// StartOrder is OVF's, empty where the cloud tells none.
	StartOrder string `json:"startOrder,omitempty"`
	Disks      int    `json:"disks"`
	NICs       int    `json:"nics"`
	// Attached are the ids of its Volumes, in the order the cloud lists them.
	Attached []string `json:"attached,omitempty"`
	// Places are their initialLocations, by id, where there are any.
	Places map[string]string `json:"places,omitempty"`
	Cards  []CardShape       `json:"cards,omitempty"`
	// In is the id of the nested System that it is in, empty for the outermost.
	In string `json:"in,omitempty"`
}

// CardShape is a network interface. Network is the id of one of the System's;
// it and MAC are empty where the cloud does not tell.
type CardShape struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	MAC     string `json:"mac,omitempty"`
	Network string `json:"network,omitempty"`
	State   string `json:"state,omitempty"`
}

// DiskShape is a Volume, or a disk of a machine's own. Capacity is in kilobytes.
type DiskShape struct {
	ID       string `json:"id"`
	OVFID    string `json:"ovfId,omitempty"`
	Name     string `json:"name"`
	Capacity int64  `json:"capacityKB"`
	Type     string `json:"type,omitempty"` // such as cimi.VolumeMapped, a shared one
	Bootable bool   `json:"bootable,omitempty"`
	// Digest is the content digest that the cloud gives, empty when it gives none.
	Digest string `json:"digest,omitempty"`
	// DigestSize is how many bytes of content it covers, 0 where it does not say.
	DigestSize int64 `json:"digestSize,omitempty"`
	// Of is the machine whose own storage it is (T17), empty for a Volume. Kept:
	// it is that at the destination too, by a MachineImage; else it becomes a
	// Volume.
	Of   string `json:"of,omitempty"`
	Kept bool   `json:"kept,omitempty"`

	place string // initialLocation of one that is a machine's own
	there string // its name at the destination, when Name is that at the source

	tracked bool // its host keeps track of what is written to it
}

// NetworkShape is a Network of the System.
type NetworkShape struct {
	ID    string `json:"id"`
	OVFID string `json:"ovfId,omitempty"`
	Name  string `json:"name"`
	// Description is told by few clouds.
	Description string `json:"description,omitempty"`

	segments string // href of the collection
}

// maxNesting bounds Systems within Systems, maxSystems how many of them there
// are in all.
const (
	maxNesting = 32
	maxSystems = 20_000
)

// readShape reads the configuration of a System and those nested in it.
func readShape(ctx context.Context, p cimi.Provider, s *cimi.System) (*Shape, error) {
	shape := &Shape{Name: s.Name, Description: s.Description}
	if err := shape.add(ctx, p, s, nil); err != nil {
		return shape, err
	}
	return shape, shape.wire(ctx, p)
}

// add reads a System; within are the ids of those around it, outermost first.
// A System that is within itself has no end, and is the cloud's failure.
func (shape *Shape) add(ctx context.Context, p cimi.Provider, s *cimi.System, within []string) error {
	if i := slices.Index(within, s.ID); i >= 0 && s.ID != "" {
		return cimi.Errorf(http.StatusBadGateway, "its Systems form a circle: %s", strings.Join(append(slices.Clone(within[i:]), s.ID), " > "))
	}
	if len(within) > maxNesting {
		return cimi.Errorf(http.StatusBadGateway, "system %s is nested more than %d deep", s.ID, maxNesting)
	}
	if len(shape.Systems) > maxSystems {
		return cimi.Errorf(http.StatusBadGateway, "there are more than %d Systems within it", maxSystems)
	}
	in := "" // what stands in the outermost is not said to
	if len(within) > 0 {
		in = s.ID
	}
	machines, err := listAll(ctx, p, cimi.HrefOf(s.Machines))
	if err != nil {
		return err
	}
	for _, r := range machines {
		m, ok := r.(*cimi.Machine)
		if !ok {
			continue
		}
		if err := shape.addMachine(ctx, p, m, in); err != nil {
			return err
		}
	}
	volumes, err := listAll(ctx, p, cimi.HrefOf(s.Volumes))
	if err != nil {
		return err
	}
	for _, r := range volumes {
		if v, ok := r.(*cimi.Volume); ok {
			shape.Disks = append(shape.Disks, diskShape(v))
		}
	}
	networks, err := listAll(ctx, p, cimi.HrefOf(s.Networks))
	if err != nil {
		return err
	}
	for _, r := range networks {
		if n, ok := r.(*cimi.Network); ok {
			shape.Networks = append(shape.Networks, networkShape(n))
		}
	}
	nested, err := listAll(ctx, p, cimi.HrefOf(s.Systems))
	if err != nil {
		return err
	}
	for _, r := range nested {
		if n, ok := r.(*cimi.System); ok {
			shape.Systems = append(shape.Systems, SystemShape{ID: n.ID, Name: n.Name, Description: n.Description, In: in})
			if err := shape.add(ctx, p, n, append(slices.Clone(within), s.ID)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (shape *Shape) addMachine(ctx context.Context, p cimi.Provider, m *cimi.Machine, in string) error {
	ms := MachineShape{ID: m.ID, OVFID: m.ExtraString(cimi.OVFID), Name: m.Name, Description: m.Description, State: m.State,
		CPU: cimi.IntValue(m.CPU), CPUArch: m.CPUArch, MemoryKiB: cimi.IntValue(m.Memory), StartOrder: startOrder(m.ExtraValue(cimi.OVFStartup)), In: in}
	attached, err := listAll(ctx, p, cimi.HrefOf(m.Volumes))
	if err != nil {
		return err
	}
	for _, r := range attached {
		ms.Disks++
		ms.Attached = append(ms.Attached, r.Base().ID)
		if l, ok := r.(*cimi.LocatedVolume); ok && l.InitialLocation != "" {
			if ms.Places == nil {
				ms.Places = map[string]string{}
			}
			ms.Places[l.ID] = l.InitialLocation
		}
	}
	cards, err := listAll(ctx, p, cimi.HrefOf(m.Interfaces))
	if err != nil {
		return err
	}
	for _, r := range cards {
		ms.NICs++
		ms.Cards = append(ms.Cards, card(r))
	}
	shape.Machines = append(shape.Machines, ms)
	return nil
}

func networkShape(n *cimi.Network) NetworkShape {
	return NetworkShape{ID: n.ID, OVFID: n.ExtraString(cimi.OVFID), Name: n.Name, Description: n.Description, segments: cimi.HrefOf(n.Segments)}
}

func diskShape(v *cimi.Volume) DiskShape {
	digest, size := cloudDigest(v.ExtraValue(cimi.ContentDigest))
	return DiskShape{ID: v.ID, OVFID: v.ExtraString(cimi.OVFID), Name: v.Name,
		Capacity: cimi.IntValue(v.Capacity), Type: v.Type, Bootable: cimi.BoolValue(v.Bootable), Digest: digest, DigestSize: size,
		tracked: isTrue(v.ExtraValue(cimi.ChangesTracked))}
}

// cloudDigest reads the extension attribute contentDigest: an object with the
// digest and the bytes it covers, or the digest itself.
func cloudDigest(v any) (digest string, size int64) {
	switch v := v.(type) {
	case string:
		return strings.TrimPrefix(v, "sha256:"), 0
	case map[string]any:
		digest, _ = v["digest"].(string)
		if n, err := strconv.ParseInt(fmt.Sprint(v["size"]), 10, 64); err == nil && n > 0 {
			size = n
		}
	}
	return digest, size
}

// match pairs entries by the descriptor's id where both have one, else by
// name; -1 where there is no partner.
func match[T any](src, dst []T, keys func(T) (id, name string)) []int {
	out := make([]int, len(src))
	taken := make([]bool, len(dst))
	find := func(ok func(T) bool) int {
		for j, d := range dst {
			if !taken[j] && ok(d) {
				taken[j] = true
				return j
			}
		}
		return -1
	}
	for i, s := range src {
		id, name := keys(s)
		out[i] = -1
		if id != "" {
			out[i] = find(func(d T) bool { did, dname := keys(d); return did == id && dname == name })
		}
		if out[i] < 0 && id != "" {
			out[i] = find(func(d T) bool { did, _ := keys(d); return did == id })
		}
		if out[i] < 0 {
			out[i] = find(func(d T) bool { did, dname := keys(d); return dname == name && (id == "" || did == "") })
		}
	}
	return out
}

// disk finds the disk with an id of the descriptor.
func (shape *Shape) disk(ovfID string) (DiskShape, bool) {
	i := slices.IndexFunc(shape.Disks, func(d DiskShape) bool { return d.OVFID == ovfID })
	if i < 0 {
		i = slices.IndexFunc(shape.Disks, func(d DiskShape) bool { return d.OVFID == "" && strings.EqualFold(d.Name, ovfID) })
	}
	if i < 0 {
		return DiskShape{}, false
	}
	return shape.Disks[i], true
}
