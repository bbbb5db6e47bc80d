package manifest

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"slices"
	"strings"
)

// Algorithm is a digest algorithm, spelled as findings and errors do: sha256.
type Algorithm string

// What manifests use. DSP0243 1.x knows SHA-1 only; 2.x adds the SHA-2 family.
const (
	SHA1   Algorithm = "sha1"
	SHA224 Algorithm = "sha224"
	SHA256 Algorithm = "sha256"
	SHA384 Algorithm = "sha384"
	SHA512 Algorithm = "sha512"
)

var algorithms = []Algorithm{SHA1, SHA224, SHA256, SHA384, SHA512}

// unseen is what a Checker computes for files that pass before the manifest
// is known: the three that producers write. The other two, seen in no
// package, then cannot be checked, which is an error and not a silence.
var unseen = []Algorithm{SHA1, SHA256, SHA512}

// New is a running digest; it panics for an Algorithm that is none of the constants.
func (a Algorithm) New() hash.Hash {
	switch a {
	case SHA1:
		return sha1.New()
	case SHA224:
		return sha256.New224()
	case SHA256:
		return sha256.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	}
	panic("manifest: unknown algorithm " + string(a))
}

// Valid says whether a is one of the constants.
func (a Algorithm) Valid() bool { return slices.Contains(algorithms, a) }

// Spelling is the algorithm as a manifest line has it: SHA256.
func (a Algorithm) Spelling() string { return strings.ToUpper(string(a)) }

// HexLen is the length of a digest in hex digits.
func (a Algorithm) HexLen() int {
	switch a {
	case SHA1:
		return 2 * sha1.Size
	case SHA224:
		return 2 * sha256.Size224
	case SHA256:
		return 2 * sha256.Size
	case SHA384:
		return 2 * sha512.Size384
	case SHA512:
		return 2 * sha512.Size
	}
	return 0
}

// ParseAlgorithm takes any spelling in use: SHA256, sha-256, SHA2-256, "SHA 256".
func ParseAlgorithm(s string) (Algorithm, bool) { return parseAlgorithm(s) }

func parseAlgorithm(s string) (Algorithm, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	s = strings.NewReplacer("-", "", "_", "", " ", "").Replace(s)
	if rest, ok := strings.CutPrefix(s, "sha2"); ok && len(rest) == 3 {
		s = "sha" + rest // SHA2-256
	}
	a := Algorithm(s)
	return a, a.Valid()
}

func algorithmOfLength(hexDigits int) (Algorithm, bool) {
	for _, a := range algorithms {
		if a.HexLen() == hexDigits {
			return a, true
		}
	}
	return "", false
}

func spellings() []string {
	out := make([]string, len(algorithms))
	for i, a := range algorithms {
		out[i] = a.Spelling()
	}
	return out
}
