// Package epmdless lets the nodes of one user on one host find each other without epmd: by a callback module that the nodes
// load in place of OTP's client of epmd ([Install]), and by a file for each node in a folder of that user's ([Folder]).
//
// This package does not start nodes; package launcher does, see its Config.Epmdless. The module is beamrun_epmd.erl here; its compiled
// form is part of this package, made by OTP 23's compiler, and loaded by OTP 23 to 29 as the tests do.
//
// # The files
//
// A node's file is NAME.PID, at most 512 bytes: one line of seven fields with one space between.
//
//	alice 34831 0.0.0.0 4711 4687709 0a4b13a6-5bc2-40c3-b3d7-d8d876fd2e29 pid:[4026531836]
//
// They are the name before the @, the port and the address that the node listens at, its process's pid, when that was started (field 22
// of proc_pid_stat(5)), and where a pid means that process: the boot of the kernel and the pid namespace (pid_namespaces(7)). The last
// three are "-" on other systems than Linux.
//
// The node has ended when it is known where the pid means something, and no such process of that start runs; or else when its port
// refuses a connection. Whoever sees that removes the file: the module, and [Nodes]. The node makes its file anew, within 2 seconds, when
// somebody else removed it.
package epmdless

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/internal/ours"
	"github.com/beamrun/beamrun/ensure/internal/owner"
	"github.com/beamrun/beamrun/ensure/internal/refused"
)

const (
	maxLine    = 512                    // bytes
	unfinished = 10 * time.Second       // that a file may have no whole line yet
	patience   = 500 * time.Millisecond // for a connection
)

// Node is a node that is registered by a file.
type Node struct {
	Name string         // what stands before the @
	Addr netip.AddrPort // where it listens
	PID  int
	File string

	birth, boot, space string
}

// Folder returns the folder of the files of this user's nodes on this host, and makes it when it is missing, mode 0700. It
// is below the user's cache folder, see [ensure.CacheDir]: whoever has the same HOME has the same cookie and the same nodes.
// Hosts that share a HOME have a folder each, by their host names, and so do network namespaces, on Linux.
func Folder() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", &FolderError{err}
	}
	dir, err := ensure.CacheDir("nodes-" + strings.Map(plain, host) + network())
	if err != nil {
		return "", &FolderError{err}
	}
	return dir, nil
}

// FolderError is why there is no folder for the nodes' files, or for the module.
type FolderError struct{ Err error }

func (e *FolderError) Error() string {
	return fmt.Sprintf("epmdless: no folder for nodes' files: %v", e.Err)
}
func (e *FolderError) Unwrap() error { return e.Err }

// plain is r, if it may be part of a file's name on every system.
func plain(r rune) rune {
	if strings.ContainsRune(`/\:<>"|?*`, r) {
		return '_'
	}
	return r
}

// Nodes returns the nodes of this user on this host that live, by name, and removes the files of those that don't. Strange are the
// entries of the folder that are none of a node's and that were left as they are. The context bounds what has to be asked: on Linux
// nothing.
func Nodes(ctx context.Context) (nodes []Node, strange []string, err error) {
	dir, err := Folder()
	if err != nil {
		return nil, nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, &FolderError{err}
	}
	for _, entry := range entries {
		file := filepath.Join(dir, entry.Name())
		switch n, verdict := judge(ctx, file); verdict {
		case alive:
			nodes = append(nodes, n)
		case dead:
			os.Remove(file)
		case alien:
			strange = append(strange, file)
		}
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), a.PID-b.PID) })
	return nodes, strange, nil
}

type verdict int

const (
	alive verdict = iota
	dead
	young // it may not have been written yet
	alien // not a node's file
)

// judge says what a file is. It opens none that is no ordinary one: a pipe would keep it waiting.
func judge(ctx context.Context, file string) (Node, verdict) {
	name, pid, ok := strings.Cut(filepath.Base(file), ".")
	info, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it has just ended
		return Node{}, dead
	case err != nil, !ok, !info.Mode().IsRegular(), !ours.Is(info):
		return Node{}, alien
	}
	n, ok := read(file, info)
	if !ok || n.Name != name || strconv.Itoa(n.PID) != pid {
		if age := time.Since(info.ModTime()); age.Abs() < unfinished {
			return Node{}, young
		}
		return Node{}, dead
	}
	if !n.isAlive(ctx) {
		return Node{}, dead
	}
	return n, alive
}

func read(file string, info fs.FileInfo) (Node, bool) {
	if info.Size() > maxLine {
		return Node{}, false
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Node{}, false
	}
	n, ok := parse(string(text))
	n.File = file
	return n, ok
}

// parse reads the line of a file.
func parse(text string) (n Node, ok bool) {
	line, isLine := strings.CutSuffix(text, "\n")
	f := strings.Split(line, " ")
	if !isLine || len(text) > maxLine || len(f) != 7 || strings.Contains(line, "\n") {
		return Node{}, false
	}
	port, err := strconv.ParseUint(f[1], 10, 16)
	addr, addrErr := netip.ParseAddr(f[2])
	pid, pidErr := strconv.Atoi(f[3])
	if errors.Join(err, addrErr, pidErr) != nil || port == 0 || f[0] == "" {
		return Node{}, false
	}
	return Node{Name: f[0], Addr: netip.AddrPortFrom(addr, uint16(port)), PID: pid, birth: f[4], boot: f[5], space: f[6]}, true
}

const unknown = "-"

func (n Node) isAlive(ctx context.Context) bool {
	switch boot, space := here(); {
	case boot == unknown || n.boot == unknown:
	case boot != n.boot:
		return false
	case space == n.space:
		return n.birth != unknown && owner.Process{PID: n.PID}.Birth() == n.birth
	}
	return n.listens(ctx)
}

func (n Node) listens(ctx context.Context) bool {
	addr := n.Addr.Addr()
	switch addr {
	case netip.IPv4Unspecified():
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		addr = netip.IPv6Loopback()
	}
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(addr, n.Addr.Port()).String())
	if err != nil {
		return !refused.Is(err)
	}
	conn.Close()
	return true
}
