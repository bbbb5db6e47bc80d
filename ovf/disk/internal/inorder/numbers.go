package inorder

import (
	"context"
	"iter"
)

// Numbers is a Line's Produce of an item for each number, which set gives it. The
// first error of the numbers ends it.
func Numbers[T any](numbers func(ctx context.Context) iter.Seq2[int64, error], set func(item *T, number int64)) func(context.Context, func() (*T, error), func(*T)) error {
	return func(ctx context.Context, next func() (*T, error), submit func(*T)) error {
		for number, err := range numbers(ctx) {
			if err != nil {
				return err
			}
			item, err := next()
			if err != nil {
				return err
			}
			set(item, number)
			submit(item)
		}
		return nil
	}
}
