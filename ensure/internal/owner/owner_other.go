//go:build !linux

package owner

import (
	"context"
	"os/exec"
	"time"
)

func ofPort(int) (Process, bool)    { return Process{}, false }
func hasPort(int, int) bool         { return true }
func ofLock(string) (Process, bool) { return Process{}, false }
func session(int) int               { return 0 }
func follow(int) *Followed          { return nil }
func wake(int) bool                 { return false }

func listening(int) []Socket                { return nil }
func connected(int) []Socket                { return nil }
func ports() map[uint16]bool                { return nil }
func ofSockets([]Socket) map[uint16]Process { return nil }
func getenv(int, string) string             { return "" }
func pathOf(_ int, path string) string      { return path }
func since(int) time.Time                   { return time.Time{} }
func birth(int) string                      { return "" }
func stopped(int) bool                      { return false }
func hasTerminal(int) bool                  { return false }

// say is what a program prints, "" if it does not end within a second or two.
func say(program string, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, program, args...).Output() // none where it is missing
	return string(out)
}

var _ = Socket{}.inode // only Linux has any
