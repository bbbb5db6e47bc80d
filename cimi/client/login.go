package client

import (
	"context"
	"net/http"
	"sync"

	"github.com/cimimove/cimimove/cimi"
)

// login are credentials.
type login struct{ user, password, token string }

// renewing keeps many readers from asking for new credentials at once.
var renewing sync.Mutex

// renew gets other credentials.
func (c *Client) renew(ctx context.Context) error {
	c.mu.Lock()
	before := c.login
	c.mu.Unlock()
	renewing.Lock()
	defer renewing.Unlock()
	c.mu.Lock()
	done := c.login != before // by another
	c.mu.Unlock()
	if done {
		return nil
	}
	user, password, token, err := c.o.Renew(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.login = login{user, password, token}
	return nil
}

// authorized makes an exchange, and makes it once more with other credentials
// where those are refused: what is refused so has changed nothing.
func (c *Client) authorized(ctx context.Context, method, href string, body []byte, h http.Header) (*answer, error) {
	a, err := c.once(ctx, method, href, body, h)
	if c.o.Renew == nil || !cimi.IsUnauthorized(err) {
		return a, err
	}
	if renewErr := c.renew(ctx); renewErr != nil {
		return a, err
	}
	return c.once(ctx, method, href, body, h)
}
