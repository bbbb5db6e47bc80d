package hosttest

import (
	"slices"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// Hypervisor is a host with what its hypervisor itself says of what was made
// there, for the acceptance cases.
type Hypervisor struct {
	host.Host
	// Made is what a machine of s is in the hypervisor.
	Made func(t testing.TB, s *host.System, m *host.Machine) Made
	// Left are the machines and volumes that stand in the hypervisor, without
	// what the host keeps of its own.
	Left func(t testing.TB) []string
	// Takes has the hypervisor begin to run a machine and stop it at once; nil
	// where that would prove nothing.
	Takes func(t testing.TB, m *host.Machine)
	// Refused are places for disks that there are not, each with what the error
	// must name.
	Refused map[string]string
}

// Made is a machine as a hypervisor has it.
type Made struct {
	Firmware   string // bios or efi
	SecureBoot bool
	Variables  bool    // the firmware has the variables that came along
	Drives     []int64 // sizes in bytes of the images in its CD drives
	Disks      []Placed
	Cards      []Card
}

// Placed is a disk of a machine where the hypervisor has put it.
type Placed struct {
	Disk      string // its id in the descriptor
	Bus       string
	Model     string // of the controller, where the hypervisor says
	Number    int    // number of the controller among those of its bus
	Unit      int
	Shareable bool
}

// Expected is what hypervisors do each in its own way.
type Expected struct {
	// Variants are what open is called with where the way disks are stored
	// matters; the first is the default.
	Variants []string
	// Ids of the findings about a device that is left out, an address that is
	// taken, a TPM, and a network that is not there: empty where that is refused.
	Strange, Clash, TPM, NoNetwork string
	// DemandedTPM: a machine that needs a TPM gets one.
	DemandedTPM bool
	// Network is one that is there.
	Network string
	// Variables are the content of a file with a firmware's variables.
	Variables []byte
	// Slots are those of the disks of AC-23 beyond the common ones, and Places
	// where the disks of both go, by id.
	Slots  []Slot
	Places map[string]Placed
	// ModelsTold: that a controller becomes another one is told by that id.
	ModelsTold string
}

// Slot is a place on a controller of AC-23's machine.
type Slot struct {
	Parent string
	Unit   int
}

// Acceptance runs the cases that every hypervisor shows, each in a subtest with
// its number.
func Acceptance(t *testing.T, open func(t testing.TB, variant string) Hypervisor, expected Expected) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, func(testing.TB, string) Hypervisor, Expected)
	}{
		{"AC13Files", ac13Files},
		{"AC13Strange", ac13Strange},
		{"FromOVirt", fromOVirt},
		{"FromXenCenter", fromXenCenter},
		{"AC15Version2", ac15Version2},
		{"AC23Controllers", ac23Controllers},
		{"AC24FilesOfDisks", ac24FilesOfDisks},
		{"AC24SharedDisks", ac24SharedDisks},
		{"AC25Cards", ac25Cards},
		{"AC26Firmware", ac26Firmware},
		{"AC33NothingIsLeft", ac33NothingIsLeft},
		{"AC35BeforeTheUpload", ac35BeforeTheUpload},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open, expected) })
	}
}

// importing imports a package and gives the findings.
func importing(t testing.TB, h host.Host, b []byte, opts host.ImportOptions) (*host.System, []ovf.Finding) {
	t.Helper()
	var found []ovf.Finding
	opts.Finding = func(f ovf.Finding) { found = append(found, f) }
	s, err := h.Import(t.Context(), Package(t, b), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s, found
}

// unchanged wants the hypervisor to hold what it held before.
func unchanged(t testing.TB, when string, before []string, h Hypervisor) {
	t.Helper()
	if now := h.Left(t); !slices.Equal(before, now) {
		t.Errorf("%s: before there were %v, after that %v", when, before, now)
	}
}
