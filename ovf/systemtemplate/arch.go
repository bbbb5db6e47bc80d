package systemtemplate

import (
	"slices"
	"strings"
)

// CIM_OperatingSystem.OsType values whose names say 64-Bit; 81, Solaris, is
// left out: it runs on SPARC too.
var osTypes64 = []int{70, 71, 74, 77, 78, 80, 83, 85, 90, 92, 94, 96, 98, 100, 101, 102, 107, 109}

// architecture sets CPUArch in the words of DSP0263 T20: the processor Item's
// sub-type says it, the operating system only suggests it.
func (r *reader) architecture(m *Machine, object string) {
	if m.Attributes.CPUArch != "" {
		m.CPUArch = m.Attributes.CPUArch
		return
	}
	for _, it := range m.Hardware.EffectiveItems(r.config) {
		if it.ResourceType == 3 {
			for _, s := range strings.Fields(it.ResourceSubType) {
				if a := architectureNamed(s); a != "" {
					m.CPUArch = a
					return
				}
			}
		}
	}
	os, ok := m.Content.OperatingSystem()
	if !ok {
		return
	}
	vendor := or(os.VMwareType, os.VBoxType)
	from := vendor
	switch {
	case vendor != "":
		m.CPUArch = architectureOfVendorType(vendor)
	case slices.Contains(osTypes64, os.ID):
		m.CPUArch, from = "x86_64", "its number"
	case os.ID == 9:
		m.CPUArch, from = "POWER", "AIX"
	case os.ID == 68:
		m.CPUArch, from = "z/Architecture", "z/OS"
	}
	if m.CPUArch != "" {
		r.findings.add(ArchitectureGuess, object, "%s, from the operating system (%s)", m.CPUArch, from)
	}
}

func architectureNamed(s string) string {
	switch strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s)) {
	case "x8664", "amd64", "x64", "em64t", "intel64":
		return "x86_64"
	case "x86", "i386", "i486", "i586", "i686", "ia32":
		return "x86"
	case "arm", "arm64", "aarch64", "armv7", "armv7l", "armv8":
		return "ARM"
	case "power", "ppc64", "ppc64le":
		return "POWER"
	case "powerpc", "ppc":
		return "PowerPC"
	case "s390x", "s390", "z/architecture":
		return "z/Architecture"
	case "sparc", "sparc64":
		return "SPARC"
	case "itanium", "ia64":
		return "Itanium"
	case "mips", "mips64":
		return "MIPS"
	case "alpha":
		return "Alpha"
	case "parisc":
		return "PA_RISC"
	case "68000", "m68k":
		return "68000"
	}
	return ""
}

// architectureOfVendorType reads vmw:osType (ubuntu64Guest) and vbox:OSType
// (Ubuntu_64). Names without a width are of 32-bit systems, but for those that
// name no system at all.
func architectureOfVendorType(s string) string {
	l := strings.ToLower(s)
	switch {
	case strings.HasPrefix(l, "arm"), strings.Contains(l, "_arm"), strings.Contains(l, "arm64"), strings.Contains(l, "aarch64"):
		return "ARM"
	case strings.Contains(l, "64"), strings.HasPrefix(l, "vmkernel"):
		return "x86_64"
	case l == "other", l == "otherguest", l == "unknown":
		return ""
	}
	return "x86"
}
