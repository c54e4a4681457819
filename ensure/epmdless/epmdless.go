// Package epmdless lets the nodes of one user on one host find each other without epmd: by a
// module that the nodes load in place of OTP's client of epmd, erl_epmd ([Install]), and by a file
// for each node in a directory of that user's ([Dir]).
//
// This package does not start nodes; package launcher does, see its Config.Epmdless. The module is
// erl_epmd.erl here. Its compiled form is part of this package, made by OTP 23's compiler, and
// loaded by OTP 23 to 29 as the tests do. It has the name of OTP's own, and its directory stands
// first in the path. So it is loaded in embedded mode too, and by programs that ask erl_epmd
// themselves, as RabbitMQ does; and a node's own -epmd_module takes its place.
//
// # The files
//
// A node's file is NAME.PID, at most 512 bytes: one line of seven fields with one space between.
//
//	alice 34831 0.0.0.0 4711 4687709 0a4b13a6-5bc2-40c3-b3d7-d8d876fd2e29 pid:[4026531836]
//
// They are the name before the @, the port and the address that the node listens at, its process's
// pid, when that was started (field 22 of proc_pid_stat(5)), and where a pid means that process:
// the boot of the kernel and the pid namespace (pid_namespaces(7)). The last three are "-" on other
// systems than Linux.
//
// A name is one that OTP gives to nodes: 1 to 255 of A-Z, a-z, 0-9, _ and -.
//
// The node has ended when it is known where the pid means something, and no such process of that
// start runs; or else when its address is none of this host, or its port refuses a connection. Such
// connections go to this host only: to loopback, where the node listens on every address, or to an
// address of an interface. All of one search together take a second at most, and who was not asked
// by then has not ended. Whoever sees that a node has ended removes the file: the module, and
// [Nodes]. The node makes its file anew, within 2 seconds, when somebody else removed it.
//
// Of the directory's entries 4,096 are looked at. The module takes the directory only if nobody but
// this user and root can change what its path leads to: each directory above it, and each link in
// the path, is theirs, and no directory is writable by others unless it is sticky.
package epmdless

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/beamrun/beamrun/internal/hostaddr"
	"github.com/beamrun/beamrun/internal/neterr"
	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/statedir"
)

const (
	maxLine    = 512                    // bytes
	maxEntries = 4096                   // of the directory, that are looked at
	unfinished = 10 * time.Second       // that a file may have no whole line yet
	patience   = 500 * time.Millisecond // for a connection
	budget     = time.Second            // for all connections
	atOnce     = 64                     // connections
)

// Node is a node that is registered by a file.
type Node struct {
	Name string         // what stands before the @
	Addr netip.AddrPort // where it listens
	PID  int
	File string

	birth, boot, space string
}

// Dir returns the directory of the files of this user's nodes on this host, and makes it when it
// is missing, mode 0700. It is below the user's cache directory: whoever has the same HOME has the
// same cookie and the same nodes. Hosts that share a HOME have a directory each, by their host
// names, and so do network namespaces, on Linux. The module looks for it in the same way where root
// started the node and another user runs it.
func Dir() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", &DirError{err}
	}
	dir, err := statedir.Cache("nodes-" + strings.Map(plain, host) + network())
	if err != nil {
		return "", &DirError{err}
	}
	return dir, nil
}

// DirError is why there is no directory for the nodes' files, or for the module.
type DirError struct{ Err error }

func (e *DirError) Error() string {
	return fmt.Sprintf("epmdless: no directory for nodes' files: %v", e.Err)
}
func (e *DirError) Unwrap() error { return e.Err }

// plain is r, if it may be part of a file's name on every system.
func plain(r rune) rune {
	if strings.ContainsRune(`/\:<>"|?*`, r) {
		return '_'
	}
	return r
}

// Nodes returns the nodes of this user on this host that live, by name, and removes the files of
// those that don't. Strange are the entries of the directory that are none of a node's and that
// were left as they are. What has to be asked, on Linux nothing in most cases, is bounded by the
// context, and by a second.
//
// With more than 4,096 entries in the directory there is an error beside the nodes of the first
// ones.
func Nodes(ctx context.Context) (nodes []Node, strange []string, err error) {
	dir, err := Dir()
	if err != nil {
		return nil, nil, err
	}
	names, more, err := entries(dir)
	if err != nil {
		return nil, nil, &DirError{err}
	}
	files, unclear := make([]file, len(names)), []*file{}
	for i, name := range names {
		f := &files[i]
		f.path = filepath.Join(dir, name)
		if f.node, f.info, f.verdict = judge(f.path); f.verdict == unknowable {
			unclear = append(unclear, f)
		}
	}
	ask(ctx, unclear)
	for _, f := range files {
		switch f.verdict {
		case alive:
			nodes = append(nodes, f.node)
		case dead:
			f.remove()
		case alien:
			strange = append(strange, f.path)
		}
	}
	slices.Sort(strange)
	slices.SortFunc(nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.PID-b.PID)
	})
	if more {
		err = &DirError{
			fmt.Errorf("%s has more than %d entries: the rest was not looked at", dir, maxEntries),
		}
	}
	return nodes, strange, err
}

// entries returns the names of the first entries of a directory, and whether there are more.
func entries(dir string) (names []string, more bool, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	names, err = f.Readdirnames(maxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) { // that is an empty one
		return nil, false, err
	}
	more = len(names) > maxEntries
	return names[:min(maxEntries, len(names))], more, nil
}

// file is an entry of the directory.
type file struct {
	path    string
	info    fs.FileInfo // of the dead, and those that may be
	node    Node
	verdict verdict
}

type verdict int

const (
	alive verdict = iota
	dead
	gone       // removed by its node, whose next file may have that name by now
	young      // it may not have been written yet
	alien      // not a node's file
	unknowable // but by a connection to its port
)

// remove removes the file that was judged, and no later one of that name.
func (f *file) remove() {
	now, err := os.Lstat(f.path)
	if err == nil && os.SameFile(now, f.info) && now.ModTime().Equal(f.info.ModTime()) {
		os.Remove(f.path)
	}
}

// judge says what a file is. It is opened once, without following a link, and without waiting as
// for a pipe: what is looked at is what is read.
func judge(path string) (Node, fs.FileInfo, verdict) {
	name, pid, ok := strings.Cut(filepath.Base(path), ".")
	if !ok {
		return Node{}, nil, alien
	}
	f, err := os.OpenFile(path, os.O_RDONLY|safepath.OpenFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return Node{}, nil, gone
	} else if err != nil {
		return Node{}, nil, alien
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || !safepath.IsOwn(info) {
		return Node{}, nil, alien
	}
	text, err := io.ReadAll(io.LimitReader(f, maxLine+1))
	n, ok := parse(string(text))
	if err != nil || !ok || n.Name != name || strconv.Itoa(n.PID) != pid {
		if age := time.Since(info.ModTime()); age.Abs() < unfinished {
			return Node{}, nil, young
		}
		return Node{}, info, dead
	}
	n.File = path
	return n, info, n.state()
}

// ask finds out by connections which of the nodes have ended.
func ask(ctx context.Context, files []*file) {
	if len(files) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	here, _ := hostaddr.All()
	slots := make(chan bool, atOnce)
	var wg sync.WaitGroup
	for _, f := range files {
		wg.Go(func() {
			slots <- true
			defer func() { <-slots }()
			if f.verdict = dead; f.node.listens(ctx, here) {
				f.verdict = alive
			}
		})
	}
	wg.Wait()
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
	if errors.Join(err, addrErr, pidErr) != nil || port == 0 || addr.Zone() != "" || !isName(f[0]) {
		return Node{}, false
	}
	at := netip.AddrPortFrom(addr, uint16(port))
	return Node{Name: f[0], Addr: at, PID: pid, birth: f[4], boot: f[5], space: f[6]}, true
}

// isName reports whether OTP would give that name to a node, by net_kernel's valid_name_head.
func isName(s string) bool {
	isOther := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') &&
			r != '_' && r != '-'
	}
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, isOther)
}

const unknown = "-"

func (n Node) state() verdict {
	switch boot, space := here(); {
	case boot == unknown || n.boot == unknown:
	case boot != n.boot:
		return dead
	case space == n.space && n.birth != unknown && owner.Process{PID: n.PID}.Birth() == n.birth:
		return alive
	case space == n.space:
		return dead
	}
	return unknowable
}

// listens reports whether the node may listen: its address is one of this host, whose interfaces
// have the addresses of here, and its port does not refuse a connection.
func (n Node) listens(ctx context.Context, here []netip.Addr) bool {
	if ctx.Err() != nil {
		return true // it was not asked
	}
	addr := hostaddr.Dialable(n.Addr.Addr())
	if !addr.IsLoopback() && !slices.Contains(here, addr) {
		return false
	}
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(addr, n.Addr.Port()).String())
	if err != nil {
		return !neterr.IsRefused(err)
	}
	conn.Close()
	return true
}
