package inorder

import (
	"runtime"
	"testing"
)

// TestSpareProcessor: the one that is added is nobody's, and added once.
func TestSpareProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer func() {
		runtime.GOMAXPROCS(before)
		idle.Store(0)
	}()
	SpareProcessor()
	SpareProcessor()
	if got := runtime.GOMAXPROCS(0); got != before+1 {
		t.Errorf("GOMAXPROCS %d, want %d", got, before+1)
	}
	if Processors() != before || Count(0) != before || Count(3) != 3 {
		t.Errorf("%d processors, %d workers, want %d", Processors(), Count(0), before)
	}
}
