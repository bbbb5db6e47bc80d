package inorder_test

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/disk/internal/inorder"
)

var errNumbers = errors.New("no more numbers")

// counted is a pass over 0 … n-1, after which comes err.
func counted(n int, err error) (inorder.Pass[item], *[]int) {
	var got []int
	return inorder.Pass[item]{
		Workers: 4,
		New:     func() *item { return new(item) },
		Numbers: func(context.Context) iter.Seq2[int64, error] {
			return func(yield func(int64, error) bool) {
				for i := range n {
					if !yield(int64(i), nil) {
						return
					}
				}
				if err != nil {
					yield(0, err)
				}
			}
		},
		Work: func(_ context.Context, it *item, number int64) error {
			it.n = int(number)
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

// TestPassOrder: items are finished and delivered in order, whatever work takes,
// and no more of them are made than may be in flight.
func TestPassOrder(t *testing.T) {
	pass, got := counted(500, nil)
	var places []int
	var made atomic.Int32
	pass.New = func() *item { made.Add(1); return new(item) }
	pass.Finish = func(it *item) error { places = append(places, it.n); return nil }
	if err := pass.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, order := range map[string][]int{"finished": places, "delivered": *got} {
		if len(order) != 500 || !slices.IsSorted(order) {
			t.Errorf("%s %v", what, order)
		}
	}
	if m := made.Load(); m > 2*4+1 {
		t.Errorf("%d items made for 4 workers", m)
	}
}

// TestPassErrors: the first error in order is the one returned, everything before
// it is delivered and nothing behind it, and nothing behind one that could not be
// worked on is finished.
func TestPassErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, at := range []int{0, 1, 30, 99} {
		fails := func(it *item) error {
			if it.n >= at {
				return broken
			}
			return nil
		}
		for name, set := range map[string]func(*inorder.Pass[item]){
			"work": func(p *inorder.Pass[item]) {
				work := p.Work
				p.Work = func(ctx context.Context, it *item, n int64) error {
					return errors.Join(work(ctx, it, n), fails(it))
				}
			},
			"finish":  func(p *inorder.Pass[item]) { p.Finish = fails },
			"deliver": nil,
		} {
			pass, got := counted(100, errNumbers)
			var late atomic.Int32
			pass.Finish = func(it *item) error {
				if it.n > at && name != "deliver" {
					late.Add(1)
				}
				return nil
			}
			if set != nil {
				set(&pass)
			} else {
				pass.Deliver = func(it *item) error {
					err := fails(it)
					if err == nil {
						*got = append(*got, it.n)
					}
					return err
				}
			}
			if err := pass.Run(t.Context()); !errors.Is(err, broken) || len(*got) != at || !slices.IsSorted(*got) || late.Load() != 0 {
				t.Errorf("%s fails at %d: %v after %v, %d finished behind it", name, at, err, *got, late.Load())
			}
		}
	}
	pass, got := counted(100, errNumbers)
	if err := pass.Run(t.Context()); err != errNumbers || len(*got) != 100 {
		t.Errorf("numbers end with an error: %v after %v", err, *got)
	}
}

// TestPassCancel: a pass ends when its context does, and when one item fails,
// even while it waits for the next number.
func TestPassCancel(t *testing.T) {
	broken := errors.New("broken")
	for _, fails := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		pass, _ := counted(0, nil)
		pass.Numbers = func(ctx context.Context) iter.Seq2[int64, error] {
			return func(yield func(int64, error) bool) {
				if yield(0, nil) {
					<-ctx.Done()
					yield(0, ctx.Err())
				}
			}
		}
		pass.Deliver = func(*item) error {
			if fails {
				return broken
			}
			cancel()
			return nil
		}
		want := context.Canceled
		if fails {
			want = broken
		}
		if err := pass.Run(ctx); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		cancel()
	}
}
