package cimi

// Volume is storage that can be connected to Machines (5.15.1).
type Volume struct {
	Common
	State string `cimi:"state,ro"`
	// Type is a URI such as VolumeMapped.
	Type string `cimi:"type,std"`
	// Capacity is in kilobytes.
	Capacity *int64           `cimi:"capacity,measure=volume"`
	Bootable *bool            `cimi:"bootable"`
	Images   *Ref[Collection] `cimi:"images,of=VolumeImage,ro"`
	Meters   *Ref[Collection] `cimi:"meters,of=Meter,ro"`
	EventLog *Ref[EventLog]   `cimi:"eventLog,ro"`
}

func (*Volume) TypeName() string { return "Volume" }

// VolumeTemplate says how to create a Volume (5.15.3).
type VolumeTemplate struct {
	Common
	VolumeConfig        *Ref[VolumeConfiguration] `cimi:"volumeConfig"`
	VolumeImage         *Ref[VolumeImage]         `cimi:"volumeImage"`
	MeterTemplates      []Ref[MeterTemplate]      `cimi:"meterTemplates,item=meterTemplate"`
	EventLogTemplate    *Ref[EventLogTemplate]    `cimi:"eventLogTemplate"`
	GenResourceMetadata *Ref[ResourceMetadata]    `cimi:"genResourceMetadata,since=2"`
}

func (*VolumeTemplate) TypeName() string { return "VolumeTemplate" }

// VolumeConfiguration are the characteristics of Volumes to be (5.15.5).
type VolumeConfiguration struct {
	Common
	Type string `cimi:"type,std"`
	// Format is that of a file system, not of an image.
	Format string `cimi:"format"`
	// Capacity is in kilobytes.
	Capacity *int64       `cimi:"capacity,measure=volume"`
	VScope   []ValueScope `cimi:"vscope,item=valueScope,since=2"`
}

func (*VolumeConfiguration) TypeName() string { return "VolumeConfiguration" }

// VolumeImage is content that Volumes are made from (5.15.7).
type VolumeImage struct {
	Common
	State         string `cimi:"state,ro"`
	ImageLocation string `cimi:"imageLocation,uri"`
	Bootable      *bool  `cimi:"bootable"`
}

func (*VolumeImage) TypeName() string { return "VolumeImage" }
