package cimi

// Action is the request to run a custom operation (4.2.1.5). Which of the
// parameters count depends on the action; others belong in Extra.
type Action struct {
	Common
	// Action is one of the Action constants or another absolute URI.
	Action string `cimi:"action,cmandatory,std"`

	Source          string `cimi:"source,uri,asis"`         // import
	Format          string `cimi:"format"`                  // export
	Destination     string `cimi:"destination,uri,asis"`    // export
	Force           *bool  `cimi:"force"`                   // stop, restart
	InitialLocation string `cimi:"initialLocation,since=2"` // insert into Machine.volumes, connectvolume

	Image      *Ref[MachineImage] `cimi:"image"`                                // restore
	Credential *Ref[Credential]   `cimi:"credential,alias=credentials,since=2"` // connectvolume, insert, remove

	Node   *Ref[Machine] `cimi:"node,since=2"`   // forceSync, swapBackup, addRM, removeRM (5.13.3)
	Backup *Ref[Machine] `cimi:"backup,since=2"` // addRM

	// The resource to insert into a collection or to remove from it (5.5.12.2, 5.5.12.3).
	System           *Ref[System]           `cimi:"system,since=2"`
	Machine          *Ref[Machine]          `cimi:"machine,since=2"`
	Volume           *Ref[Volume]           `cimi:"volume,since=2"`
	VolumeImage      *Ref[VolumeImage]      `cimi:"volumeImage,since=2"`
	MachineImage     *Ref[MachineImage]     `cimi:"machineImage,since=2"`
	Network          *Ref[Network]          `cimi:"network,since=2"`
	ProtocolSegment  *Ref[ProtocolSegment]  `cimi:"protocolSegment,since=2"`
	ProtocolEndpoint *Ref[ProtocolEndpoint] `cimi:"protocolEndpoint,since=2"`
	NetworkInterface *Ref[NetworkInterface] `cimi:"networkInterface,since=2"`
	NetworkService   *Ref[NetworkService]   `cimi:"networkService,since=2"`
	SystemService    *Ref[SystemService]    `cimi:"systemService,since=2"`
	Meter            *Ref[Meter]            `cimi:"meter,since=2"`
	Address          *Ref[Address]          `cimi:"address,until=1"`
	NetworkPort      *Ref[NetworkPort]      `cimi:"networkPort,until=1"`
	ForwardingGroup  *Ref[ForwardingGroup]  `cimi:"forwardingGroup,until=1"`
}

func (*Action) TypeName() string { return "Action" }
