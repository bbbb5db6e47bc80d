package evacuate

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"

	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// sealed is how the journal keeps a runbook: values of properties, addresses of
// webhooks and the arguments of hooks may be secrets, so it is encrypted
// (AES-256-GCM) with a key that is not in the journal of one machine.
type sealed struct {
	Sealed []byte `json:"sealed"`
}

const sealKey = "runbook"

func seal(ctx context.Context, j *journal.Journal, rb *runbook.Runbook) (json.RawMessage, error) {
	text, err := json.Marshal(rb)
	if err != nil {
		return nil, err
	}
	box, err := sealer(ctx, j)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, box.NonceSize())
	rand.Read(nonce)
	return json.Marshal(sealed{box.Seal(nonce, nonce, text, nil)})
}

// unseal reads what seal wrote, and the plain form of earlier versions.
func unseal(ctx context.Context, j *journal.Journal, document json.RawMessage) (*runbook.Runbook, error) {
	rb := &runbook.Runbook{}
	var s sealed
	if err := json.Unmarshal(document, &s); err != nil {
		return nil, err
	}
	if len(s.Sealed) == 0 {
		return rb, json.Unmarshal(document, rb)
	}
	box, err := sealer(ctx, j)
	if err != nil {
		return nil, err
	}
	n := box.NonceSize()
	if len(s.Sealed) < n {
		return nil, errors.New("it is cut off")
	}
	text, err := box.Open(nil, s.Sealed[:n], s.Sealed[n:], nil)
	if err != nil {
		return nil, errors.New("it was sealed with another key than " + sealKey + ".key beside the journal")
	}
	return rb, json.Unmarshal(text, rb)
}

func sealer(ctx context.Context, j *journal.Journal) (cipher.AEAD, error) {
	key, err := j.Key(ctx, sealKey)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
