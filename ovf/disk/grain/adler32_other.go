//go:build !amd64 || purego

package grain

const adlerVector = false

func adlerSums(*byte, int) (sum, weighted uint64) { panic("grain: not available") }
