package provider

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// reachTimeout bounds a look whether a URL can be reached.
const reachTimeout = 10 * time.Second

// reach answers whether an import could fetch from a URL (cimi.RelReach): any
// answer of a server will do, as credentials are an import's business. It
// reads what an import may read, and nothing of the answer is shown.
func (p *Provider) reach(ctx context.Context, encoded string) (cimi.Content, error) {
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	u, urlErr := url.Parse(string(raw))
	if err != nil || urlErr != nil || u.User != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, cimi.Errorf(http.StatusBadRequest, "reach: expected an http or https URL without credentials, in base64url")
	}
	answer := cimi.Reach{Reachable: true}
	if err := p.knock(ctx, u); err != nil {
		answer = cimi.Reach{Why: err.Error()}
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	return memory{bytes.NewReader(b)}, nil
}

// knock asks for one byte.
func (p *Provider) knock(ctx context.Context, u *url.URL) error {
	if len(p.opts.AllowSources) == 0 {
		return errors.New("this cloud fetches from no network")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, reachTimeout, errors.New("no answer in time"))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Range", "bytes=0-0")
	resp, err := p.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 1) // how it ends is of no interest
	return nil
}

// cutReach takes the id of a reach apart.
func cutReach(id string) (encoded string, ok bool) { return strings.CutPrefix(id, reachID+"/") }

// reachID is where reach is asked for.
const reachID = "reach"
