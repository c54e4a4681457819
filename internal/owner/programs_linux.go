package owner

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// budget is how much of other processes is read and kept at most. Each user has one, so that one
// cannot use up that of another; and there is one for all of them together.
type budget struct {
	programs    int
	bytes       int // of arguments
	words       int // arguments, each of which takes more memory than an empty one is long
	descriptors int // that are looked at
	sockets     int // which may be shared by many processes
}

var (
	ofEach = budget{
		programs: 512, bytes: 4 << 20, words: 1 << 16,
		descriptors: maxDescriptors, sockets: 1 << 14,
	}
	ofAll = budget{
		programs: 4096, bytes: 16 << 20, words: 1 << 18,
		descriptors: 4 * maxDescriptors, sockets: 1 << 16,
	}
)

// budgets are what is left for each user, and for all. This user's own are not left out for the
// sake of others'.
type budgets struct {
	of  map[int]*budget
	all budget
}

func newBudgets() budgets { return budgets{of: map[int]*budget{}, all: ofAll} }

// take takes from what is left, and reports whether that was enough.
func (b *budgets) take(uid int, t budget) bool {
	of := b.of[uid]
	if of == nil {
		of = new(budget)
		*of = ofEach
		b.of[uid] = of
	}
	return of.take(t) && (uid == os.Geteuid() || b.all.take(t))
}

func (b *budgets) descriptors(uid int) int {
	b.take(uid, budget{})
	if uid == os.Geteuid() {
		return b.of[uid].descriptors
	}
	return min(b.of[uid].descriptors, b.all.descriptors)
}

func (b *budget) take(t budget) bool {
	b.programs -= t.programs
	b.bytes -= t.bytes
	b.words -= t.words
	b.descriptors -= t.descriptors
	b.sockets -= t.sockets
	return min(b.programs, b.bytes, b.words, b.descriptors, b.sockets) >= 0
}

func sizeOf(args []string) (b budget) {
	for _, a := range args {
		b.bytes += len(a) + 1
	}
	b.words = len(args)
	return b
}

// maxDescriptors is how many of a process, or of a user's programs, are looked at: a node with as
// many connections takes 0.3 s.
const maxDescriptors = 1 << 19

func programs(ctx context.Context, match func(name string) bool) (found []Program, unseen int) {
	ours := namespacesOf(os.Getpid())
	here, elsewhere := newBudgets(), newBudgets()
	for pid := range pids(ctx) {
		p := named(pid)
		if !match(p.Name) {
			continue
		}
		status := read(pid, "status", maxStatus)
		if len(status) == 0 { // it has ended
			continue
		}
		ids, ok := parseIDs(string(status))
		theirs := namespacesOf(pid)
		q := Program{Process: p, UID: ids.uid[0], Closed: !ok || !ids.isOne() || theirs.net == ""}
		q.Elsewhere = theirs.net != "" && theirs.net != ours.net
		q.Apart = !q.Closed && (theirs.mount != ours.mount || !isOurRoot(pid))
		q.Unmapped = !q.Closed && theirs.user != ours.user
		budgets := &here
		if q.Elsewhere { // a container may have as many as it likes
			budgets = &elsewhere
		}
		args, cut := []string(nil), false
		if budgets.take(q.UID, budget{programs: 1}) {
			args, cut = argsOf(pid)
		} else {
			cut = true
		}
		switch {
		case cut || !budgets.take(q.UID, sizeOf(args)):
			if !q.Elsewhere { // this epmd is none of theirs
				unseen++
			}
		case args != nil: // else it has ended
			q.Args = args
			found = append(found, q)
		}
	}
	if _, err := os.Stat("/proc/1"); ctx.Err() != nil || err != nil {
		// no /proc, or one that hides others' processes (hidepid, proc(5)): how many more there
		// are is not known
		unseen++
	}
	withSockets(ctx, found, &here)
	return found, unseen
}

// withSockets adds to the programs what they listen on. One with more than may be looked at is
// closed.
func withSockets(ctx context.Context, found []Program, budgets *budgets) {
	var sockets map[uint32]Socket // when it is needed
	me := os.Geteuid()
	order := make([]int, len(found))
	for i := range order {
		order[i] = i
	}
	// this user's own first: others may take all of the time
	slices.SortStableFunc(order, func(a, b int) int {
		return isOther(found[a].UID == me) - isOther(found[b].UID == me)
	})
	for _, i := range order {
		q := &found[i]
		if q.Closed || q.Elsewhere {
			continue
		}
		if ctx.Err() != nil {
			q.Closed = true
			continue
		}
		if sockets == nil {
			sockets = byInode(listening(0))
		}
		enough := true
		most := budgets.descriptors(q.UID)
		looked, whole := eachSocket(ctx, q.PID, most, func(inode uint32) bool {
			// a socket of another user that this process inherited is not for it to answer at
			if s, ok := sockets[inode]; ok && s.UID == q.UID {
				q.Sockets = append(q.Sockets, s)
				enough = budgets.take(q.UID, budget{sockets: 1})
			}
			return enough
		})
		if !budgets.take(q.UID, budget{descriptors: looked}) || !whole || !enough {
			q.Closed, q.Sockets = true, nil
		}
	}
}

func isOther(mine bool) int {
	if mine {
		return 0
	}
	return 1
}

// namespaces are those of a process, "" where this user may not know.
type namespaces struct{ net, mount, user string }

func namespacesOf(pid int) (n namespaces) {
	dir := fmt.Sprintf("/proc/%d/ns/", pid)
	n.net, _ = os.Readlink(dir + "net")
	n.mount, _ = os.Readlink(dir + "mnt")
	n.user, _ = os.Readlink(dir + "user")
	return n
}

// isOurRoot reports whether the process has our root directory. Its own may be in a file system
// that never answers (FUSE), so nothing is asked of that: what the kernel knows is enough.
func isOurRoot(pid int) bool {
	var ours, theirs unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, "/", unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &ours)
	root := fmt.Sprintf("/proc/%d/root", pid)
	terr := unix.Statx(unix.AT_FDCWD, root, unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &theirs)
	return err == nil && terr == nil && ours.Ino == theirs.Ino &&
		ours.Dev_major == theirs.Dev_major && ours.Dev_minor == theirs.Dev_minor
}

// argsOf returns the arguments of a process, nil after its end, or none and that they are too many.
func argsOf(pid int) (args []string, cut bool) {
	return splitArgs(read(pid, "cmdline", maxArgs+1))
}

func splitArgs(text []byte) (args []string, cut bool) {
	if len(text) == 0 {
		return nil, false
	}
	if len(text) > maxArgs || bytes.Count(text, []byte{0}) > maxWords {
		return nil, true
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"), false
}

func byInode(sockets []Socket) map[uint32]Socket {
	m := make(map[uint32]Socket, len(sockets))
	for _, s := range sockets {
		m[s.inode] = s
	}
	return m
}

// ofSockets looks into the processes of the sockets' own users first, for others may have very many
// descriptors; and of these into each epmd first, for that is most often the one, and a busy host
// has hundreds of processes. It looks into all for a socket that its maker passed on, as systemd
// does. Of processes that share a socket an epmd counts, else the oldest.
func ofSockets(ctx context.Context, sockets []Socket) map[uint16]Process {
	wanted, found := byInode(sockets), map[uint16]Process{}
	makers := map[int]bool{}
	for _, s := range sockets {
		makers[s.UID] = true
	}
	passes := []struct{ makers, epmds bool }{{true, true}, {true, false}, {false, false}}
	for _, among := range passes {
		for pid := range pids(ctx) {
			if len(wanted) == 0 {
				return found
			}
			uid, ok := userOf(pid)
			if !ok || among.makers && !makers[uid] || among.epmds && named(pid).Name != "epmd" {
				continue
			}
			var held []uint32
			eachSocket(ctx, pid, maxDescriptors, func(inode uint32) bool {
				if s, ok := wanted[inode]; ok && (!among.makers || s.UID == uid) {
					held = append(held, inode)
				}
				return len(held) < len(wanted)
			})
			if len(held) == 0 {
				continue
			}
			p := named(pid)
			for _, inode := range held {
				port := wanted[inode].Addr.Port()
				// a systemd that holds a socket for a service is not the one that answers, once
				// that service runs
				if p.Name == "systemd" {
					found[port] = cmp.Or(found[port], p)
					continue
				}
				found[port] = p
				delete(wanted, inode)
			}
		}
	}
	return found
}

func userOf(pid int) (uid int, ok bool) {
	var st unix.Stat_t
	err := unix.Stat("/proc/"+strconv.Itoa(pid), &st)
	return int(st.Uid), err == nil
}

// pids are those of all processes, the oldest first, or nearly so: of those that share a socket, it
// has made it. It ends with the context.
func pids(ctx context.Context) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		eachName("/proc", func(dir *os.File, name string) bool {
			pid, err := strconv.Atoi(name)
			return ctx.Err() == nil && (err != nil || yield(pid))
		})
	}
}

// eachName calls f for each entry of a directory, some hundreds at a time, until f returns false,
// and reports whether it got to the end.
func eachName(path string, f func(dir *os.File, name string) bool) (whole bool) {
	dir, err := os.Open(path)
	if err != nil {
		return false
	}
	return eachNameIn(dir, f)
}

// eachNameIn is eachName for an open directory, which it closes.
func eachNameIn(dir *os.File, f func(dir *os.File, name string) bool) (whole bool) {
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(512)
		for _, name := range names {
			if !f(dir, name) {
				return false
			}
		}
		if err != nil {
			return err == io.EOF || errors.Is(err, unix.ENOENT) // the latter: the process has ended
		}
	}
}

// eachSocket calls f for each socket of the process, by its inode, until f returns false, but looks
// at no more descriptors than that. It returns how many it looked at, and whether they were all;
// another user's process shows none, which are all.
func eachSocket(
	ctx context.Context, pid, most int, f func(inode uint32) bool,
) (looked int, whole bool) {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		// it has ended, or shows none
		return 0, errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
	}
	return eachSocketIn(ctx, dir, most, f)
}

// eachSocketIn is eachSocket for the open directory of a process's descriptors, which it closes.
func eachSocketIn(
	ctx context.Context, dir *os.File, most int, f func(inode uint32) bool,
) (looked int, whole bool) {
	const prefix = "socket:["
	var link [64]byte
	whole = true
	eachNameIn(dir, func(dir *os.File, name string) bool {
		if looked++; looked > most || looked%64 == 0 && ctx.Err() != nil {
			whole = false
			return false
		}
		n, err := unix.Readlinkat(int(dir.Fd()), name, link[:])
		if err != nil || !bytes.HasPrefix(link[:n], []byte(prefix)) {
			return true
		}
		inode, err := strconv.ParseUint(string(link[len(prefix):n-1]), 10, 32)
		return err != nil || f(uint32(inode))
	})
	return looked, whole
}

func getenv(pid int, key string) string { return find(read(pid, "environ", maxEnv), key) }

// find returns a variable of an environment.
func find(environ []byte, key string) string {
	for v := range bytes.SplitSeq(environ, []byte{0}) {
		if value, ok := bytes.CutPrefix(v, []byte(key+"=")); ok {
			return string(value)
		}
	}
	return ""
}

// directory are the flags of open(2) to hold a directory without reading it.
const directory = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC

func rootOf(pid int) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/%d/root", pid), directory, 0)
}

func inspect(p Process) (in *Inspection, err error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d", p.PID), directory, 0)
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	in = &Inspection{dir: os.NewFile(uintptr(fd), "process")}
	ids, ok := parseIDs(string(in.read("status", maxStatus)))
	args, cut := splitArgs(in.read("cmdline", maxArgs+1))
	switch {
	case !ok:
		err = errors.New("its users could not be read")
	case !ids.isOne():
		err = errors.New("it has the rights of several users")
	case ids.gid[0] != ids.gid[1] || ids.gid[1] != ids.gid[2] || ids.gid[2] != ids.gid[3]:
		err = errors.New("it has the rights of a group that is not its user's (setgid)")
	case cut || args == nil:
		err = errors.New("its arguments could not be read")
	}
	if err != nil {
		in.Close()
		return nil, err
	}
	in.UID, in.GID, in.Groups, in.Args = ids.uid[0], ids.gid[1], ids.groups, args
	return in, nil
}

func (in *Inspection) read(name string, most int) []byte {
	fd, err := unix.Openat(int(in.dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return readAll(os.NewFile(uintptr(fd), name), most)
}

func (in *Inspection) getenv(key string) string { return find(in.read("environ", maxEnv), key) }
