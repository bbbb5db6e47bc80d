package vsphere

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// TestQueue: what goes in comes out, whatever the sizes of writes and reads.
func TestQueue(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		want := make([]byte, r.IntN(5*queueBlock))
		for i := range want {
			want[i] = byte(r.Uint32())
		}
		q := newQueue()
		go func() {
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 1+r.IntN(2*queueBlock))
				if _, err := q.Write(rest[:n]); err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		}()
		if got, err := io.ReadAll(source{q}); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %d bytes of %d, %v", seed, len(got), len(want), err)
		}
	}
}

// TestQueueBreaks: a reader that goes frees a writer that waits, an error of the
// writer's reaches the reader at once, whatever still stands in the queue.
func TestQueueBreaks(t *testing.T) {
	q := newQueue()
	ended := make(chan error)
	go func() {
		_, err := q.Write(make([]byte, 2*queueBlock*queueBlocks+queueBlock*4))
		ended <- err
	}()
	time.Sleep(time.Millisecond)
	source{q}.Close()
	if err := <-ended; err != io.ErrClosedPipe {
		t.Errorf("the writer gets %v", err)
	}
	wrong := errors.New("wrong")
	q = newQueue()
	q.Write(make([]byte, 2*queueBlock))
	q.CloseWithError(wrong)
	if _, err := (source{q}).Read(make([]byte, 1)); err != wrong {
		t.Errorf("the reader gets %v", err)
	}
}
