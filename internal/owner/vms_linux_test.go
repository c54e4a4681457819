package owner

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary plays a VM: it waits until its stdin ends.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "beam.smp" {
		io.Copy(io.Discard, os.Stdin)
		return
	}
	os.Exit(m.Run())
}

// vmWith starts a VM with those descriptors, as a user who is made of two where wanted, and returns
// what is seen of it.
func vmWith(t *testing.T, wrap []string, files ...*os.File) (p Program, unseen int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "beamrun-owner-") // not t.TempDir: another user has to get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "beam.smp")
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o755)
	os.Chmod(path, 0o755)
	cmd := exec.Command(path, "-sname", "fake")
	if len(wrap) > 0 {
		cmd = exec.Command(wrap[0], append(wrap[1:], path, "-sname", "fake")...)
	}
	cmd.ExtraFiles = files
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		vms, n := VMs(t.Context())
		if i := slices.IndexFunc(vms, func(p Program) bool { return p.PID == cmd.Process.Pid }); i >= 0 && strings.HasSuffix(vms[i].Args[0], "beam.smp") {
			return vms[i], n
		}
	}
	t.Fatal("the VM is not seen")
	return p, 0
}

// A socket that another user made is not for a VM to be asked at, though the VM holds it: who made
// it may take what is sent to it.
func TestInheritedSocket(t *testing.T) {
	for _, uid := range []int{os.Geteuid(), 54329} {
		if uid != os.Geteuid() && os.Geteuid() != 0 {
			continue
		}
		l, err := listenAs(uid)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		want := 0
		if uid == os.Geteuid() {
			want = 1
		}
		p, _ := vmWith(t, nil, f)
		if len(p.Sockets) != want || p.Closed || p.UID != os.Getuid() || want == 1 && p.Sockets[0].Addr != l.Addr().(*net.TCPAddr).AddrPort() {
			t.Errorf("made by uid %d: of uid %d, closed %v: %v", uid, p.UID, p.Closed, p.Sockets)
		}
	}
}

// listenAs makes a socket that is that user's.
func listenAs(uid int) (l *net.TCPListener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(uid), 0, 0)
		l, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	}()
	<-done
	return l, err
}

// A process with the rights of several users, as a setuid program is, is nobody's VM.
func TestSeveralUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be several users")
	}
	for _, wrap := range [][]string{{"setpriv", "--ruid", "54329"}, {"setpriv", "--euid", "54329"}} {
		if p, _ := vmWith(t, wrap); !p.Closed {
			t.Errorf("%q: %+v", wrap, p)
		}
	}
	if p, _ := vmWith(t, []string{"setpriv", "--reuid", "54329", "--regid", "54329", "--clear-groups"}); p.Closed || p.UID != 54329 {
		t.Errorf("one user: %+v, uid %d, closed %v, args %q", p.Process, p.UID, p.Closed, p.Args)
	}
}

// Each user has a budget, and what is beyond it is counted and not left out in silence; this user's
// own are not left out for others'.
func TestBudgets(t *testing.T) {
	b := newBudgets()
	for range ofEach.programs {
		if !b.take(1, budget{programs: 1}) {
			t.Fatal("too few")
		}
	}
	if b.take(1, budget{programs: 1}) || !b.take(2, budget{programs: 1}) || !b.take(os.Geteuid(), budget{programs: 1}) {
		t.Error("one user takes another's, or more than its own")
	}
	for uid := 10; b.all.programs >= 0; uid++ {
		b.take(uid, budget{programs: ofEach.programs})
	}
	if b.take(3, budget{programs: 1}) || !b.take(os.Geteuid(), budget{programs: 1}) {
		t.Error("all others together take more than theirs, or what is this user's")
	}
}
