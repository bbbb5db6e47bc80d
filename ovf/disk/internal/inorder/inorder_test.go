package inorder_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/disk/internal/inorder"
)

type item struct{ n int }

// numbers is a line over 0 … n-1.
func numbers(n int) (inorder.Line[item], *[]int) {
	var got []int
	return inorder.Line[item]{
		Workers: 4,
		New:     func() *item { return new(item) },
		Produce: func(_ context.Context, next func() (*item, error), submit func(*item)) error {
			for i := range n {
				it, err := next()
				if err != nil {
					return err
				}
				it.n = i
				submit(it)
			}
			return nil
		},
		Work: func(context.Context, int, *item) error {
			if rand.IntN(10) == 0 {
				time.Sleep(time.Millisecond)
			}
			return nil
		},
		Deliver: func(it *item) error {
			got = append(got, it.n)
			return nil
		},
	}, &got
}

func TestOrder(t *testing.T) {
	line, got := numbers(500)
	if err := line.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(*got) != 500 || !slices.IsSorted(*got) {
		t.Errorf("delivered %v", *got)
	}
}

func TestItemsInFlightAreBounded(t *testing.T) {
	line, _ := numbers(1000)
	var made atomic.Int32
	line.New = func() *item { made.Add(1); return new(item) }
	if err := line.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := made.Load(); n > 2*4+1 {
		t.Errorf("%d items for 4 workers", n)
	}
}

func TestFirstErrorInOrder(t *testing.T) {
	early, late, produced := errors.New("early"), errors.New("late"), errors.New("produced")
	for range 50 {
		line, got := numbers(100)
		produce := line.Produce
		line.Produce = func(ctx context.Context, next func() (*item, error), submit func(*item)) error {
			return errors.Join(produce(ctx, next, submit), produced)
		}
		line.Work = func(_ context.Context, _ int, it *item) error {
			switch it.n {
			case 40:
				time.Sleep(100 * time.Microsecond)
				return early
			case 41:
				return late
			}
			return nil
		}
		if err := line.Run(context.Background()); err != early {
			t.Fatalf("got %v", err)
		}
		if len(*got) != 40 {
			t.Fatalf("delivered %d items before the error at 40", len(*got))
		}
	}
	line, got := numbers(3)
	produce := line.Produce
	line.Produce = func(ctx context.Context, next func() (*item, error), submit func(*item)) error {
		return errors.Join(produce(ctx, next, submit), produced)
	}
	if err := line.Run(context.Background()); !errors.Is(err, produced) || len(*got) != 3 {
		t.Errorf("an error of Produce: %v after %v", err, *got)
	}
	line, _ = numbers(100)
	line.Deliver = func(it *item) error {
		if it.n == 7 {
			return late
		}
		return nil
	}
	if err := line.Run(context.Background()); err != late {
		t.Errorf("an error of Deliver: %v", err)
	}
}

func TestCancelLeavesNothingRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		line, _ := numbers(1 << 30)
		go func() {
			time.Sleep(2 * time.Millisecond)
			cancel()
		}()
		if err := line.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}
