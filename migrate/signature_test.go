package migrate_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func pemKeys(t *testing.T, key crypto.Signer) (private, public []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})
}

// TestSignedReport: what a key has signed is told from what was changed since,
// however the document is written.
func TestSignedReport(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop &lt;&amp;&gt; 1", 1))
	src, dst := a.inProcess(), b.inProcess()
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	_, wrong := pemKeys(t, other)
	for algorithm, key := range map[string]crypto.Signer{"ed25519": ed, "ecdsa-sha256": ec, "rsa-pss-sha256": rs} {
		private, public := pemKeys(t, key)
		e := newEngine(t, src, dst)
		if e.Signer, err = migrate.NewSigner("key.pem", private); err != nil {
			t.Fatal(err)
		}
		plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop <&> 1", Name: algorithm})
		if err != nil {
			t.Fatal(err)
		}
		rep, err := e.Start(t.Context(), plan)
		if err != nil || rep.Signature == nil || rep.Signature.Algorithm != algorithm {
			t.Fatalf("%s: %+v: %v", algorithm, rep, err)
		}
		kept, err := e.Report(t.Context(), rep.Run)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := json.Marshal(kept)
		if err != nil {
			t.Fatal(err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, doc, "", "\t"); err != nil {
			t.Fatal(err)
		}
		withError := bytes.Replace(doc, []byte(`{"run"`), []byte(`{"error":{"code":10},"run"`), 1)
		for _, form := range [][]byte{doc, indented.Bytes(), withError} {
			if _, err := migrate.CheckReport(form, public); err != nil {
				t.Errorf("%s: %v", algorithm, err)
			}
			for _, c := range []struct{ from, to string }{
				{rep.Disks[0].SourceDigest[:8], "00000000"}, {"true", "false"}, {`"shop`, `"shup`}, {rep.Run, "0" + rep.Run[1:]},
			} {
				changed := bytes.Replace(form, []byte(c.from), []byte(c.to), 1)
				if bytes.Equal(changed, form) {
					t.Fatalf("%s is not in the report", c.from)
				}
				if _, err := migrate.CheckReport(changed, public); !errors.Is(err, migrate.ErrSignature) || migrate.ClassOf(err) != migrate.ClassIntegrity {
					t.Errorf("%s: %s for %s: %v", algorithm, c.to, c.from, err)
				}
			}
		}
		if _, err := migrate.CheckReport(doc, wrong); !errors.Is(err, migrate.ErrSignature) {
			t.Errorf("%s: another key: %v", algorithm, err)
		}
		kept.Signature = nil
		unsigned, _ := json.Marshal(kept)
		if _, err := migrate.CheckReport(unsigned, public); !errors.Is(err, migrate.ErrNotSigned) || migrate.ClassOf(err) != migrate.ClassIntegrity {
			t.Errorf("%s: unsigned: %v", algorithm, err)
		}
	}
	_, public := pemKeys(t, ed)
	for _, doc := range []string{"", "[]", "{}", `{"run":1}`, `{"run":"x"} {}`} {
		if _, err := migrate.CheckReport([]byte(doc), public); migrate.ClassOf(err) != migrate.ClassInvalid {
			t.Errorf("%q: %v", doc, err)
		}
	}
	for _, key := range []string{"", "canary", string(public), "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----"} {
		if _, err := migrate.NewSigner("key.pem", []byte(key)); migrate.ClassOf(err) != migrate.ClassUsage || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v", err)
		}
	}
}
