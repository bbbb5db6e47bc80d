package cimi

// TypeNames1 lists the modelled types that only 1.x has.
func TypeNames1() []string {
	return []string{
		"Address",
		"AddressTemplate",
		"AddressCreate",
		"NetworkConfiguration",
		"NetworkPort",
		"NetworkPortTemplate",
		"NetworkPortConfiguration",
		"NetworkPortCreate",
		"ForwardingGroup",
		"ForwardingGroupTemplate",
		"ForwardingGroupCreate",
		"SystemSystem",
		"SystemMachine",
		"SystemCredential",
		"SystemVolume",
		"SystemNetwork",
		"SystemNetworkPort",
		"SystemAddress",
		"SystemForwardingGroup",
		"MachineVolume",
		"MachineNetworkInterface",
		"MachineNetworkInterfaceAddress",
		"MachineSnapshot",
		"VolumeVolumeImage",
		"NetworkNetworkPort",
		"ForwardingGroupNetwork",
	}
}

func newKnown1(typeName string) Resource {
	switch typeName {
	case "Address":
		return new(Address)
	case "AddressTemplate":
		return new(AddressTemplate)
	case "AddressCreate":
		return new(AddressCreate)
	case "NetworkConfiguration":
		return new(NetworkConfiguration)
	case "NetworkPort":
		return new(NetworkPort)
	case "NetworkPortTemplate":
		return new(NetworkPortTemplate)
	case "NetworkPortConfiguration":
		return new(NetworkPortConfiguration)
	case "NetworkPortCreate":
		return new(NetworkPortCreate)
	case "ForwardingGroup":
		return new(ForwardingGroup)
	case "ForwardingGroupTemplate":
		return new(ForwardingGroupTemplate)
	case "ForwardingGroupCreate":
		return new(ForwardingGroupCreate)
	case "SystemSystem":
		return new(SystemSystem)
	case "SystemMachine":
		return new(SystemMachine)
	case "SystemCredential":
		return new(SystemCredential)
	case "SystemVolume":
		return new(SystemVolume)
	case "SystemNetwork":
		return new(SystemNetwork)
	case "SystemNetworkPort":
		return new(SystemNetworkPort)
	case "SystemAddress":
		return new(SystemAddress)
	case "SystemForwardingGroup":
		return new(SystemForwardingGroup)
	case "MachineVolume":
		return new(MachineVolume)
	case "MachineNetworkInterface":
		return new(MachineNetworkInterface)
	case "MachineNetworkInterfaceAddress":
		return new(MachineNetworkInterfaceAddress)
	case "MachineSnapshot":
		return new(MachineSnapshot)
	case "VolumeVolumeImage":
		return new(VolumeVolumeImage)
	case "NetworkNetworkPort":
		return new(NetworkNetworkPort)
	case "ForwardingGroupNetwork":
		return new(ForwardingGroupNetwork)
	}
	return nil
}
