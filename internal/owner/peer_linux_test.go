package owner

import (
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// The kernel says to whom the other end of a connection belongs once a process has accepted it, and
// until it is closed; else nothing does, and least of all that it is root's.
func TestPeerOf(t *testing.T) {
	for _, hosts := range [][2]string{{"127.0.0.1", "127.0.0.1"}, {"::1", "::1"}, {"::", "127.0.0.1"}, {"::", "::1"}, {"127.0.0.5", "127.0.0.5"}} {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(hosts[0])})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		conn, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(hosts[1]), Port: l.Addr().(*net.TCPAddr).Port})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if p, err := PeerOf(conn); !errors.Is(err, errNotAccepted) {
			t.Errorf("%v: before it is accepted: %v, %v", hosts, p, err)
		}
		end, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		me := Process{PID: os.Getpid()}
		if p, err := PeerOf(conn); p.UID != os.Geteuid() || err != nil || !me.Holds(t.Context(), p) || (Process{PID: os.Getppid()}).Holds(t.Context(), p) {
			t.Errorf("%v: %v, %v", hosts, p, err)
		}
		if os.Geteuid() == 0 { // fchown(2) is what says whose it is; only root may
			raw, _ := end.(*net.TCPConn).SyscallConn()
			raw.Control(func(fd uintptr) { err = syscall.Fchown(int(fd), 54321, 54321) })
			if p, perr := PeerOf(conn); p.UID != 54321 || err != nil || perr != nil {
				t.Errorf("%v: another user's: %v, %v, %v", hosts, p, err, perr)
			}
			raw.Control(func(fd uintptr) { err = syscall.Fchown(int(fd), overflowUser, 0) })
			if p, perr := PeerOf(conn); err != nil || perr == nil {
				t.Errorf("%v: of a user without a number: %v, %v", hosts, p, err)
			}
		}
		end.Close()
		time.Sleep(time.Millisecond)
		if p, err := PeerOf(conn); !errors.Is(err, errNotAccepted) {
			t.Errorf("%v: after it is closed: %v, %v", hosts, p, err)
		}
	}
}

// The users of a process are all four of the kernel's, and what is not such a text is none.
func TestParseIDs(t *testing.T) {
	const text = "Name:\tbeam.smp\\nUid:\t0\t0\t0\t0\nUmask:\t0022\nState:\tS (sleeping)\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nFDSize:\t64\nGroups:\t9 10 \nNStgid:\t1\n"
	i, ok := parseIDs(text)
	if !ok || i.uid != [4]int{1, 2, 3, 4} || i.gid != [4]int{5, 6, 7, 8} || len(i.groups) != 2 || i.groups[1] != 10 || i.isOne() {
		t.Errorf("%+v, %v", i, ok)
	}
	if i, ok := parseIDs("Uid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nGroups:\t\n"); !ok || !i.isOne() || len(i.groups) != 0 {
		t.Errorf("%+v, %v", i, ok)
	}
	for _, bad := range []string{"", "Uid:\t1\t2\t3\t4\n", "Uid:\t1\nGid:\t1\t1\t1\t1\nGroups:\t\n", "Uid:\t1\t1\t1\tx\nGid:\t1\t1\t1\t1\nGroups:\t\n",
		"Uid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nGroups:\t1 2"} {
		if i, ok := parseIDs(bad); ok {
			t.Errorf("%q: %+v", bad, i)
		}
	}
	t.Setenv("BEAMRUN_TEST_VARIABLE", "later") // the kernel shows the environment of the start
	in, err := Process{PID: os.Getpid()}.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if in.UID != os.Getuid() || in.GID != os.Getgid() || !slices.Equal(in.Args, os.Args) || in.Getenv("PATH") != os.Getenv("PATH") || in.Getenv("BEAMRUN_TEST_VARIABLE") != "" {
		t.Errorf("%+v", in)
	}
}
