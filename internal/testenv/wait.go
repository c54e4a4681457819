package testenv

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what has to happen, on a busy machine too.
const Patience = 20 * time.Second

// Eventually waits until the condition holds. It fails the test if that takes longer than
// [Patience].
func Eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}
