//go:build race

package ensure_test

const raceDetector = true
