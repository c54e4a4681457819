//go:build !linux

package owner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"
)

func ofPort(uint16) (Process, bool) { return Process{}, false }
func hasPort(int, uint16) bool      { return true }
func ofLock(string) (Process, bool) { return Process{}, false }
func session(int) int               { return 0 }
func follow(uint16) *Followed       { return nil }

func listening(uint16) []Socket { return nil }
func connected(uint16) []Socket { return nil }
func ports() map[uint16]bool    { return nil }
func getenv(int, string) string { return "" }
func since(int) time.Time       { return time.Time{} }
func birth(int) string          { return "" }
func stopped(int) bool          { return false }
func hasTerminal(int) bool      { return false }
func userOf(int) (int, bool)    { return 0, false }
func deleted(int) string        { return "" }

func defuncts(context.Context, string) []Defunct { return nil }

func ofSockets(context.Context, []Socket) map[uint16]Process { return nil }

func peerOf(net.Conn) (Peer, error) {
	return Peer{}, fmt.Errorf("this system does not say to whom the connection's other end"+
		" belongs: %w", errors.ErrUnsupported)
}

func rootOf(int) (*os.File, error) { return nil, errors.ErrUnsupported }

func inspect(Process) (*Inspection, error) { return nil, errors.ErrUnsupported }

func holds(context.Context, int, Peer) bool { return false }

func (*Inspection) holds(context.Context, Peer) bool { return false }

func (*Inspection) getenv(string) string { return "" }

// say is what a program prints, "" if it does not end within a second or two.
func say(ctx context.Context, program string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, program, args...).Output() // none where it is missing
	return string(out)
}

var _, _ = Socket{}.inode, Peer{}.inode // only Linux has any
