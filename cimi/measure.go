package cimi

import "reflect"

// Measure is what an integer attribute counts, so that a client can correct a
// cloud that counts in other units than 5.6 says.
type Measure string

const (
	MeasureMemory Measure = "memory" // of Machines and configurations, in KiB
	MeasureDisk   Measure = "disk"   // capacity of a Machine's disk, in kB
	MeasureVolume Measure = "volume" // capacity of a Volume, in kB
)

// MapMeasures replaces every measured attribute of a resource, in place and in
// whatever it contains by value.
func MapMeasures(r Resource, f func(m Measure, v int64) int64) {
	visit(r, func(a *Attribute, v reflect.Value) {
		if a.measure == "" {
			return
		}
		if n := v.Interface().(*int64); n != nil {
			v.Set(reflect.ValueOf(Int(f(a.measure, *n))))
		}
	}, nil)
}
