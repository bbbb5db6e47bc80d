package beside_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cimimove/cimimove/ovf/beside"
)

// TestPlaceOfPipe: behind a link in /proc there may be what has no name.
func TestPlaceOfPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if at, err := beside.Place(fmt.Sprintf("/proc/self/fd/%d", w.Fd())); !errors.Is(err, beside.ErrSpecial) {
		t.Errorf("it lies at %s, %v", at, err)
	}
}
