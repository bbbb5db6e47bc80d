package vsphere

import (
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/ovf"
)

func number(s string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n
}

func truth(s string) *bool {
	b, err := strconv.ParseBool(strings.TrimSpace(s))
	if err != nil {
		return nil
	}
	return &b
}

func mapsKeys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

// appliance is what a vApp or machine is as an appliance: products, properties
// with the values they have here (DSP0243 9.5), licences.
func (p *planner) appliance(c ovf.Content) types.VmConfigSpec {
	var out types.VmConfigSpec
	key := int32(0)
	for i, ps := range c.ProductSections() {
		out.Product = append(out.Product, types.VAppProductSpec{ArrayUpdateSpec: types.ArrayUpdateSpec{Operation: types.ArrayUpdateOperationAdd},
			Info: &types.VAppProductInfo{Key: int32(i), ClassId: ps.Class, InstanceId: ps.Instance, Name: ps.Product, Vendor: ps.Vendor, Version: ps.Version,
				FullVersion: ps.FullVersion, VendorUrl: ps.VendorURL, ProductUrl: ps.ProductURL, AppUrl: ps.ApplicationURL}})
		for _, prop := range ps.Properties {
			info := &types.VAppPropertyInfo{Key: key, ClassId: prop.Class, InstanceId: prop.Instance, Id: prop.Key, Category: prop.Category,
				Label: prop.Label, Description: prop.Description, Type: propertyType(prop), UserConfigurable: types.NewBool(prop.UserConfigurable),
				DefaultValue: prop.ValueIn(p.s.Configuration)}
			if v, ok := p.value(c, prop); ok {
				info.Value = v
			}
			out.Property = append(out.Property, types.VAppPropertySpec{ArrayUpdateSpec: types.ArrayUpdateSpec{Operation: types.ArrayUpdateOperationAdd}, Info: info})
			key++
		}
	}
	for _, e := range c.Eulas() {
		out.Eula = append(out.Eula, e.License)
	}
	return out
}

// value is what was given for a property, by CONTENT/KEY or KEY.
func (p *planner) value(c ovf.Content, prop ovf.Property) (string, bool) {
	if v, ok := p.s.Properties[c.ID+"/"+prop.EnvKey()]; ok {
		return v, true
	}
	v, ok := p.s.Properties[prop.EnvKey()]
	return v, ok
}

var (
	minLen   = regexp.MustCompile(`(?i)MinLen\((\d+)\)`)
	maxLen   = regexp.MustCompile(`(?i)MaxLen\((\d+)\)`)
	valueMap = regexp.MustCompile(`(?i)ValueMap\{(.*?)\}`)
	ipOf     = regexp.MustCompile(`(?i)\bIp(?:\(\s*"?([^")]*)"?\s*\))?`)
)

// propertyType is a property's type in the vCenter's words (Tables 6 and 7).
func propertyType(prop ovf.Property) string {
	if prop.Password {
		return "password"
	}
	switch strings.ToLower(prop.Type) {
	case "boolean":
		return "boolean"
	case "real32", "real64":
		return "real"
	case "uint8", "sint8", "uint16", "sint16", "uint32", "sint32", "uint64", "sint64", "int":
		return "int"
	}
	q := prop.Qualifiers
	if v, ok := prop.Node().Attr(ovf.NSVMW, "qualifiers"); ok {
		if m := ipOf.FindStringSubmatch(v); m != nil {
			if m[1] != "" {
				return "ip:" + m[1]
			}
			return "ip"
		}
	}
	if m := valueMap.FindStringSubmatch(q); m != nil {
		return "string[" + m[1] + "]"
	}
	low, high := minLen.FindStringSubmatch(q), maxLen.FindStringSubmatch(q)
	if low != nil || high != nil {
		from, to := "", ""
		if low != nil {
			from = low[1]
		}
		if high != nil {
			to = high[1]
		}
		return fmt.Sprintf("string(%s..%s)", from, to)
	}
	return "string"
}

// extraConfig are the lines of a .vmx file that a package may bring: others can
// open the host to the guest, so a user has to set them by hand.
func extraConfigAllowed(key string) bool {
	k := strings.ToLower(key)
	return strings.HasPrefix(k, "guestinfo.") || slices.Contains([]string{"disk.enableuuid", "svga.present", "svga.autodetect"}, k)
}

// configure applies VMware's settings of a descriptor.
func (p *planner) configure(spec *types.VirtualMachineConfigSpec, hw ovf.VirtualHardware) {
	if hw.Node() == nil {
		return
	}
	spec.Firmware = hw.Firmware()
	if hw.SecureBoot() {
		spec.BootOptions = &types.VirtualMachineBootOptions{EfiSecureBootEnabled: types.NewBool(true)}
		if spec.Firmware == "" {
			spec.Firmware = string(types.GuestOsDescriptorFirmwareTypeEfi)
		}
	}
	flags := func() *types.VirtualMachineFlagInfo {
		if spec.Flags == nil {
			spec.Flags = &types.VirtualMachineFlagInfo{}
		}
		return spec.Flags
	}
	tools := func() *types.ToolsConfigInfo {
		if spec.Tools == nil {
			spec.Tools = &types.ToolsConfigInfo{}
		}
		return spec.Tools
	}
	for _, c := range hw.Configs() {
		on := truth(c.Value)
		switch {
		case c.Extra:
			if strings.EqualFold(c.Key, "nvram") {
				continue // a file, see devices
			}
			if !extraConfigAllowed(c.Key) {
				p.find("VSPHERE-CONF-001", ovf.Warning, "ExtraConfig "+c.Key, "it is not applied: a package could open the host with it; set it by hand where it is wanted")
				continue
			}
			spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: c.Key, Value: c.Value})
		case c.Key == "firmware", c.Key == "bootOptions.efiSecureBootEnabled":
		case c.Key == "cpuHotAddEnabled":
			spec.CpuHotAddEnabled = on
		case c.Key == "cpuHotRemoveEnabled":
			spec.CpuHotRemoveEnabled = on
		case c.Key == "memoryHotAddEnabled":
			spec.MemoryHotAddEnabled = on
		case c.Key == "nestedHVEnabled":
			spec.NestedHVEnabled = on
		case c.Key == "virtualICH7MPresent":
			spec.VirtualICH7MPresent = on
		case c.Key == "virtualSMCPresent":
			spec.VirtualSMCPresent = on
		case c.Key == "flags.vbsEnabled":
			flags().VbsEnabled = on
		case c.Key == "flags.vvtdEnabled":
			flags().VvtdEnabled = on
		case c.Key == "tools.syncTimeWithHost":
			tools().SyncTimeWithHost = on
		case c.Key == "tools.toolsUpgradePolicy":
			tools().ToolsUpgradePolicy = c.Value
		case c.Key == "tools.afterPowerOn":
			tools().AfterPowerOn = on
		case c.Key == "tools.afterResume":
			tools().AfterResume = on
		case c.Key == "tools.beforeGuestShutdown":
			tools().BeforeGuestShutdown = on
		case c.Key == "tools.beforeGuestStandby":
			tools().BeforeGuestStandby = on
		}
	}
}
