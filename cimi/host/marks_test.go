package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// passage is a stored file that is hashed as it is read.
type passage struct {
	io.Reader
	at   int64
	hash hash.Hash
}

func (p *passage) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.hash.Write(b[:n])
	p.at += int64(n)
	return n, err
}

func (p *passage) Close() error { return nil }

func (p *passage) Passed() (ovf.Passed, bool) {
	state, err := p.hash.(encoding.BinaryMarshaler).MarshalBinary()
	return ovf.Passed{Offset: p.at, Hashes: map[string][]byte{string(manifest.SHA256): state}}, err == nil
}

// everyPlace keeps each place that it is told.
type everyPlace struct {
	Keeper
	kept []Kept
}

func (*everyPlace) Chunk() int64 { return 300 << 10 }

func (k *everyPlace) Keep(_ context.Context, _ *Disk, kept Kept) error {
	k.kept = append(k.kept, kept)
	return nil
}

// TestMarksHoldLittle: however reads fall, places up to a MiB behind them have
// the digest of what lies before, and what is held for that does not grow.
func TestMarksHoldLittle(t *testing.T) {
	content := make([]byte, 8<<20)
	random := rand.NewChaCha8([32]byte{7})
	random.Read(content)
	sizes := rand.New(rand.NewPCG(1, 2))
	for _, most := range []int{512, 4 << 10, 64 << 10, 256 << 10, 700 << 10} {
		p := &passage{Reader: bytes.NewReader(content), hash: sha256.New()}
		k := &everyPlace{}
		m := newMarks(t.Context(), k, &Disk{}, &files.Content{Passage: p, Reader: p}, Kept{Head: []byte{}})
		b := make([]byte, most)
		index := int64(-1)
		for {
			n, err := m.Read(b[:1+sizes.IntN(most)])
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			at := p.at - sizes.Int64N(enough)
			if n == 0 || at <= m.last || at%4 != 0 {
				continue
			}
			index++
			m.place(index, at)
			m.block(index, [32]byte{})
			m.busy.Wait()
			room := 0
			for _, s := range m.passed {
				room += cap(s.bytes)
			}
			if room > 3*enough+2*most {
				t.Fatalf("reads of up to %d bytes: room for %d bytes is held at %d", most, room, p.at)
			}
		}
		if len(k.kept) < 5 {
			t.Fatalf("reads of up to %d bytes: %d places kept", most, len(k.kept))
		}
		for _, kept := range k.kept {
			h := sha256.New()
			if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(kept.File.Hashes[string(manifest.SHA256)]); err != nil {
				t.Fatal(err)
			}
			if want := sha256.Sum256(content[:kept.File.Offset]); !bytes.Equal(h.Sum(nil), want[:]) {
				t.Errorf("the digest at %d is %s, want %s", kept.File.Offset, hex.EncodeToString(h.Sum(nil)), hex.EncodeToString(want[:]))
			}
		}
	}
}

// slowKeeper waits before it keeps the first place.
type slowKeeper struct {
	everyPlace
	begun, release chan struct{}
}

func (k *slowKeeper) Keep(ctx context.Context, d *Disk, kept Kept) error {
	if len(k.kept) == 0 {
		close(k.begun)
		<-k.release
	}
	return k.everyPlace.Keep(ctx, d, kept)
}

// TestMarksBeforeStall: what has come while an earlier place was made durable is kept
// too, though nothing more comes after it.
func TestMarksBeforeStall(t *testing.T) {
	content := make([]byte, 4<<20)
	p := &passage{Reader: bytes.NewReader(content), hash: sha256.New()}
	k := &slowKeeper{begun: make(chan struct{}), release: make(chan struct{})}
	m := newMarks(t.Context(), k, &Disk{}, &files.Content{Passage: p, Reader: p}, Kept{Head: []byte{}})
	for index := range int64(4) {
		if _, err := io.CopyN(io.Discard, m, 1<<20); err != nil {
			t.Fatal(err)
		}
		m.place(index, p.at)
		m.block(index, [32]byte{})
		if index == 1 {
			<-k.begun
		}
	}
	close(k.release)
	m.busy.Wait()
	if n := len(k.kept); n != 2 || k.kept[n-1].File.Offset != 4<<20 {
		t.Errorf("kept: %d places, the last of %d bytes", n, k.kept[max(0, n-1)].File.Offset)
	}
}

// endingKeeper keeps nothing once its context has ended.
type endingKeeper struct{ everyPlace }

func (k *endingKeeper) Keep(ctx context.Context, d *Disk, kept Kept) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return k.everyPlace.Keep(ctx, d, kept)
}

// TestMarksInterrupted: a place that was being kept when the import was interrupted
// is kept at its end.
func TestMarksInterrupted(t *testing.T) {
	content := make([]byte, 2<<20)
	p := &passage{Reader: bytes.NewReader(content), hash: sha256.New()}
	k := &endingKeeper{}
	ctx, cancel := context.WithCancel(t.Context())
	m := newMarks(ctx, k, &Disk{}, &files.Content{Passage: p, Reader: p}, Kept{Head: []byte{}})
	cancel()
	for index := range int64(2) {
		if _, err := io.CopyN(io.Discard, m, 1<<20); err != nil {
			t.Fatal(err)
		}
		m.place(index, p.at)
		m.block(index, [32]byte{})
	}
	if err := m.end(ctx, disk.Result{}, ctx.Err()); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	if len(k.kept) != 1 || k.kept[0].File.Offset != 2<<20 {
		t.Errorf("%d places kept", len(k.kept))
	}
}
