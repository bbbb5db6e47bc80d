package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrNameTaken: a System of the name has come to the destination since the plan
// was made.
var ErrNameTaken = errors.New("a System of that name has come there since the plan was made")

func nameTaken(name string, why error) error {
	return refuse(StepImport, Destination, name, fmt.Errorf("%w: %w", ErrNameTaken, why), "begin a new run with another --name, or with --if-exists replace")
}

// stillFree looks at the name once more: between plan and import lie hours, or
// days where the package waits in between.
func (t *transfer) stillFree(ctx context.Context, systems string) error {
	there, err := byName(ctx, t.dst, systems, t.Name)
	if err != nil {
		return at(StepImport, Destination, t.dst.Name, err)
	}
	for _, s := range there {
		if !slices.Contains(t.Before, s.ID) && s.Properties[runProperty] != t.id {
			return nameTaken(t.Name, errors.New(s.ID))
		}
	}
	return nil
}
