package client

import (
	"fmt"
	"math"
	"math/big"

	"github.com/cimimove/cimimove/cimi"
)

// Capacity says in which units an endpoint counts memory and disks, where they
// are not those of 5.6. It is never guessed: the configuration of the endpoint
// names it.
type Capacity struct {
	Memory, Disk, Volume Unit
}

// Unit is how many units of the standard, KiB of memory or kB of capacity, one
// of the cloud's is: Read for what it answers, Write for what it is sent. A
// zero Scale is 1.
type Unit struct {
	Read, Write Scale
}

// Scale is the fraction Num / Den.
type Scale struct {
	Num, Den int64
}

// CapacityNamed gives a setting by its name:
//
//	""            the standard's units
//	volume-gb     volumes are asked for in gigabytes and answered in kibibytes
//	thousands     memory is in MiB × 1000, a machine's disks are in GB × 1000
func CapacityNamed(name string) (Capacity, error) {
	switch name {
	case "":
		return Capacity{}, nil
	case "volume-gb":
		return Capacity{Volume: Unit{Read: Scale{1024, 1000}, Write: Scale{1_000_000, 1}}}, nil
	case "thousands":
		memory, disk := Scale{1024, 1000}, Scale{1000, 1}
		return Capacity{Memory: Unit{memory, memory}, Disk: Unit{disk, disk}}, nil
	}
	return Capacity{}, fmt.Errorf("capacity units: expected volume-gb or thousands, got %q", name)
}

func (c Capacity) unit(m cimi.Measure) Unit {
	switch m {
	case cimi.MeasureMemory:
		return c.Memory
	case cimi.MeasureDisk:
		return c.Disk
	}
	return c.Volume
}

func (c Capacity) received(m cimi.Measure, v int64) int64 {
	s := c.unit(m).Read
	return scale(v, s.Num, s.Den)
}

func (c Capacity) sent(m cimi.Measure, v int64) int64 {
	s := c.unit(m).Write
	return scale(v, s.Den, s.Num)
}

// scale multiplies and divides, rounded up: a disk must not become smaller.
func scale(v, num, den int64) int64 {
	if num <= 0 || den <= 0 || num == den {
		return v
	}
	n := new(big.Int).Mul(big.NewInt(v), big.NewInt(num))
	n.Add(n, big.NewInt(den-1))
	n.Div(n, big.NewInt(den))
	if !n.IsInt64() {
		return math.MaxInt64
	}
	return n.Int64()
}
