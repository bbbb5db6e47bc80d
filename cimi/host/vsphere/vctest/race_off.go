//go:build !race

package vctest

// raceDetector is on in this build.
const raceDetector = false
