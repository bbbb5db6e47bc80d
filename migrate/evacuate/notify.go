package evacuate

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/hook"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// Notice is what a webhook is told.
type Notice struct {
	Event         string           `json:"event"` // started, wave, failed, verified, finished
	Time          time.Time        `json:"time"`
	Runbook       string           `json:"runbook"`
	Run           string           `json:"run"`
	System        string           `json:"system,omitempty"`
	Wave          string           `json:"wave,omitempty"`
	DestinationID string           `json:"destinationId,omitempty"`
	Error         *migrate.Failure `json:"error,omitempty"`
	Systems       int              `json:"systems"`
	Verified      int              `json:"verified"`
	Failed        int              `json:"failed"`
}

const notifyTimeout = 15 * time.Second

// SignatureHeader carries "sha256=" and the HMAC-SHA256 of the body in hex.
const SignatureHeader = "X-Cimimove-Signature"

// notify tells the webhooks. One that cannot be told is logged: it must not
// hold up the night.
func (v *Evacuation) notify(ctx context.Context, n Notice) {
	if len(v.rb.Notify) == 0 {
		return
	}
	rep := v.Report()
	n.Time, n.Runbook, n.Run = v.opts.Now().UTC(), v.rb.Name, v.id
	n.Systems, n.Verified, n.Failed = len(rep.Items), rep.Verified, rep.Failed
	body, err := json.Marshal(n)
	if err != nil {
		slog.Error("notify", "error", err)
		return
	}
	for _, to := range v.rb.Notify {
		on := to.On
		if len(on) == 0 {
			on = []string{"failed", "finished"}
		}
		if !slices.Contains(on, n.Event) {
			continue
		}
		if err := post(context.WithoutCancel(ctx), to, body); err != nil {
			slog.Warn("notify: the webhook was not told", "event", n.Event, "error", err)
		}
	}
}

func post(ctx context.Context, to runbook.Notify, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	header := http.Header{}
	if to.Secret != nil {
		key, err := to.Secret.Resolve(ctx)
		if err != nil {
			return err
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		header.Set(SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return hook.Post(ctx, to.URL, body, header, 2)
}

// tellWaves tells once of each wave that has begun or ended.
func (v *Evacuation) tellWaves(ctx context.Context, a *agenda, told map[string]bool) {
	states := a.waves()
	for _, w := range v.rb.Waves {
		if s := states[w.Name]; s.ended && !told[w.Name] {
			told[w.Name] = true
			v.notify(ctx, Notice{Event: "wave", Wave: w.Name})
		}
	}
}

// unfinished tells items that a report counts as not begun.
func unfinished(s journal.State) bool {
	return s == journal.Pending || s == journal.Interrupted || s == journal.Running
}
