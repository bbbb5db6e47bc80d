package disk

import "iter"

// either yields the ascending indexes that a or b yields, each once. It ends
// after the first error.
func either(a, b iter.Seq2[int64, error]) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		nextA, stopA := iter.Pull2(a)
		defer stopA()
		nextB, stopB := iter.Pull2(b)
		defer stopB()
		x, errA, okA := nextA()
		y, errB, okB := nextB()
		for okA || okB {
			if okA && errA != nil || okB && errB != nil {
				if errA == nil || !okA {
					errA = errB
				}
				yield(0, errA)
				return
			}
			least := x
			if !okA || okB && y < x {
				least = y
			}
			if !yield(least, nil) {
				return
			}
			if okA && x == least {
				x, errA, okA = nextA()
			}
			if okB && y == least {
				y, errB, okB = nextB()
			}
		}
	}
}
