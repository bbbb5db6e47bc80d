package cimi

// Meter measures an aspect of a resource (5.17.3).
type Meter struct {
	Common
	TargetResource *Ref[Unknown] `cimi:"targetResource"`
	Aspect         string        `cimi:"aspect,std"`
	Units          string        `cimi:"units"`
	// SampleInterval is in seconds.
	SampleInterval   *int64           `cimi:"sampleInterval"`
	TimeScope        string           `cimi:"timeScope"`
	IntervalDuration string           `cimi:"intervalDuration"`
	IsContinuous     *bool            `cimi:"isContinuous"`
	Samples          *Ref[Collection] `cimi:"samples,of=Sample,ro"`
	MinValue         string           `cimi:"minValue"`
	MaxValue         string           `cimi:"maxValue"`
	StopTime         *Time            `cimi:"stopTime"`
	ExpiresTime      *Time            `cimi:"expiresTime"`
}

func (*Meter) TypeName() string { return "Meter" }

// Sample is one measure (T48).
type Sample struct {
	Common
	Timestamp *Time  `cimi:"timestamp,since=2"`
	Value     string `cimi:"value,since=2"`
	// Sample is 1.x's form of Timestamp and Value.
	Sample *SampleValue `cimi:"sample,until=1"`
}

// SampleValue is a measure in 1.x.
type SampleValue struct {
	Timestamp *Time  `cimi:"timestamp,attr"`
	Value     string `cimi:"value,attr"`
}

func (*Sample) TypeName() string { return "Sample" }

// MeterTemplate says how to create a Meter (5.17.5).
type MeterTemplate struct {
	Common
	TargetResource *Ref[Unknown]            `cimi:"targetResource"`
	MeterConfig    *Ref[MeterConfiguration] `cimi:"meterConfig"`
}

func (*MeterTemplate) TypeName() string { return "MeterTemplate" }

// MeterConfiguration defines Meters to be (5.17.7).
type MeterConfiguration struct {
	Common
	// AssociatedResources are type URIs.
	AssociatedResources []string `cimi:"associatedResources,item=associatedResource,since=2"`
	// AssociatedTo is 1.x's AssociatedResources.
	AssociatedTo []Ref[Unknown] `cimi:"associatedTo,item=associatedTo,until=1"`
	Aspect       string         `cimi:"aspect,std"`
	Units        string         `cimi:"units"`
	// SampleInterval is in seconds.
	SampleInterval   *int64 `cimi:"sampleInterval"`
	TimeScope        string `cimi:"timeScope"`
	IntervalDuration string `cimi:"intervalDuration"`
	IsContinuous     *bool  `cimi:"isContinuous"`
}

func (*MeterConfiguration) TypeName() string { return "MeterConfiguration" }

// MeterCreate asks for a Meter.
type MeterCreate struct {
	Common
	MeterTemplate *Ref[MeterTemplate] `cimi:"meterTemplate,cmandatory"`
}

func (*MeterCreate) TypeName() string { return "MeterCreate" }
