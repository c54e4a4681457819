//go:build unix

package launcher

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A program that is a pipe is not waited for.
func TestScriptNeverWaits(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o755); err != nil {
		t.Fatal(err)
	}
	done := make(chan string, 1)
	go func() { done <- Config{Program: pipe}.script() }()
	select {
	case text := <-done:
		if text != "" {
			t.Errorf("%q", text)
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits for a writer")
	}
}
