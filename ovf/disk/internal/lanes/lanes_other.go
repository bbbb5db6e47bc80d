//go:build !amd64 || purego

package lanes

import "crypto/sha256"

const available = false

func compress(_ *[8][width]uint32, _ *[width]*byte, _ int) { panic("lanes: not available") }

func together(_ [][]byte, _ [][sha256.Size]byte) { panic("lanes: not available") }
