package migrate

import (
	"errors"
	"sync"
	"testing"
)

// TestSurveyAsksAgain: what was found out is asked for once, by however many at a
// time; what could not be is asked for again.
func TestSurveyAsksAgain(t *testing.T) {
	var o once[int]
	asked := 0
	down := errors.New("the cloud is away for a moment")
	ask := func() (int, error) {
		if asked++; asked == 1 {
			return 0, down
		}
		return 7, nil
	}
	if _, err := o.get("a", ask); err != down {
		t.Fatalf("the first answer: %v", err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if n, err := o.get("a", ask); n != 7 || err != nil {
				t.Errorf("the second answer: %d, %v", n, err)
			}
		})
	}
	wg.Wait()
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}
