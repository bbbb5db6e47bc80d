package cimi

// Action is the request to run a custom operation (4.2.1.5). Which of the
// parameters count depends on the action; others belong in Extra.
type Action struct {
	Common
	// Action is one of the Action constants or another absolute URI.
	Action string `cimi:"action,cmandatory"`

	Source          string `cimi:"source,uri,asis"`      // import
	Format          string `cimi:"format"`               // export
	Destination     string `cimi:"destination,uri,asis"` // export
	Force           *bool  `cimi:"force"`                // stop, restart
	InitialLocation string `cimi:"initialLocation"`      // insert into Machine.volumes, connectvolume

	Image      *Ref[MachineImage] `cimi:"image"`                        // restore
	Credential *Ref[Credential]   `cimi:"credential,alias=credentials"` // connectvolume, insert, remove

	// The resource to insert into a collection or to remove from it (5.5.12.2, 5.5.12.3).
	System           *Ref[System]           `cimi:"system"`
	Machine          *Ref[Machine]          `cimi:"machine"`
	Volume           *Ref[Volume]           `cimi:"volume"`
	VolumeImage      *Ref[VolumeImage]      `cimi:"volumeImage"`
	MachineImage     *Ref[MachineImage]     `cimi:"machineImage"`
	Network          *Ref[Network]          `cimi:"network"`
	ProtocolSegment  *Ref[ProtocolSegment]  `cimi:"protocolSegment"`
	ProtocolEndpoint *Ref[ProtocolEndpoint] `cimi:"protocolEndpoint"`
	NetworkInterface *Ref[NetworkInterface] `cimi:"networkInterface"`
	NetworkService   *Ref[Unknown]          `cimi:"networkService"`
}

func (*Action) TypeName() string { return "Action" }
