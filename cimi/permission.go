package cimi

import "context"

// Permitter is implemented by a Provider that can ask its cloud whether its user
// may change anything of the resource id: nil where it may, or where the cloud
// does not say; an *Error of status 401 or 403 where it may not. It changes
// nothing. A cloud offers a user only what that user may do (4.2), so this tells
// an operation that nobody has from one that the user is not allowed.
type Permitter interface {
	MayChange(ctx context.Context, id string) error
}

// MayChange asks p, or what it is wrapped around; nil where that cannot tell.
func MayChange(ctx context.Context, p Provider, id string) error {
	for p != nil {
		if asks, ok := p.(Permitter); ok {
			return asks.MayChange(ctx, id)
		}
		w, ok := p.(interface{ Unwrap() Provider })
		if !ok {
			break
		}
		p = w.Unwrap()
	}
	return nil
}
