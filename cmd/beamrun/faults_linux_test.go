package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/testenv"
)

// short is for calls whose end is the time's: the fault would last for ever.
const short = "--timeout=300ms"

// The users of the faults that need some beside root. No passwd file knows them.
const (
	alice = 54321
	bob   = 54322
	carol = 54323
)

// Everything that was seen, or can be thought of, to stand between a caller and an epmd. What
// beamrun makes of it is in the table of ensure/README.md, word by word.
var faults = []faultRow{
	{"1a", "epmd is stopped (SIGSTOP)", func(h *faultHost) outcome {
		syscall.Kill(h.epmd(), syscall.SIGSTOP)
		return h.ensure(short)
	}},
	{"1b", "epmd was stopped and goes on (SIGCONT)", func(h *faultHost) outcome {
		pid := h.epmd()
		syscall.Kill(pid, syscall.SIGSTOP)
		h.ensure(short)
		syscall.Kill(pid, syscall.SIGCONT)
		return h.ensure(short)
	}},
	{"1c", "epmd is stopped, and so many wait for it that no connection is accepted", func(h *faultHost) outcome {
		syscall.Kill(h.epmd(), syscall.SIGSTOP)
		h.fillBacklog()
		return h.ensure(short)
	}},
	{"2a", "a program that accepts and is silent", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.Silent)
		return h.ensure(short)
	}},
	{"2b", "the same, of another user, so that nobody tells what it is", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.Silent)
		h.as(alice)
		return h.ensure(short)
	}},
	{"3", "an HTTP server", func(h *faultHost) outcome {
		l, err := net.Listen("tcp", h.addr())
		if err != nil {
			h.Fatal(err)
		}
		server := &http.Server{}
		go server.Serve(l)
		h.Cleanup(func() { server.Close() })
		return h.ensure(short)
	}},
	{"4a", "random bytes", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.Garbage)
		return h.ensure(short)
	}},
	{"4b", "a right beginning, then endless bytes", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.Flood)
		return h.ensure()
	}},
	{"4c", "the same, a byte every 10 ms", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.Flood, epmdtest.Slow(10*time.Millisecond))
		return h.ensure(short)
	}},
	{"4d", "a reply that is cut off in its middle", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.Cut(2))
		return h.ensure(short)
	}},
	{"4e", "an epmd that is slow: a byte every 10 ms", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.Slow(10*time.Millisecond))
		return h.ensure()
	}},
	{"5", "a reply that tells another port", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.WrongPort(1234))
		return h.ensure(short)
	}},
	{"6", "a reset after the connection was accepted", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.Reset)
		o := h.ensure(short)
		early := strings.NewReplacer("dial tcp "+h.addr()+": connect: ", "read: ", "send: ", "read: ") // it may come as early as that
		o.Message = early.Replace(o.Message)
		return o
	}},
	{"7", "another program has only [::]:PORT", func(h *faultHost) outcome {
		h.listenAndClose("tcp6", "::", 0)
		return h.ensure(short)
	}},
	{"8a", "another program has only 127.0.0.1:PORT, and 0.0.0.0 is asked for", func(h *faultHost) outcome {
		h.listenAndClose("tcp4", "127.0.0.1", 0)
		return h.ensure(short, "--address", "0.0.0.0")
	}},
	{"8b", "another program has PORT, on an address that is not asked", func(h *faultHost) outcome {
		testenv.Need(h, "epmd")
		h.listenAndClose("tcp4", "127.0.0.2", 0)
		return h.ensure()
	}},
	{"9", "epmd ends with 1 and a message", func(h *faultHost) outcome {
		h.program("echo 'no luck today' >&2; exit 1")
		return h.ensure()
	}},
	{"10a", "epmd ends with 0 and says nothing", func(h *faultHost) outcome {
		h.program("exit 0")
		return h.ensure()
	}},
	{"10b", "so it does once, as one that lost the port to another user's, which has ended since", func(h *faultHost) outcome {
		testenv.Need(h, "epmd")
		lost := filepath.Join(h.home, "epmd-lost")
		h.program(`mkdir "` + lost + `" 2>/dev/null && exit 0; exec epmd "$@"`)
		return h.ensure()
	}},
	{"10c", "epmd ends with 1 and says nothing, as /bin/false", func(h *faultHost) outcome {
		h.program("exit 1")
		return h.ensure()
	}},
	{"11", "epmd never listens", func(h *faultHost) outcome {
		h.program("sleep 60 & sleep 60")
		return h.ensure(short)
	}},
	{"12", "epmd listens after 3 s", func(h *faultHost) outcome {
		testenv.Need(h, "epmd")
		h.program(`sleep 3; exec epmd "$@"`)
		o := h.ensure()
		if o.elapsed < 3*time.Second || o.elapsed > 7*time.Second { // a busy machine needs some time for the script
			h.Errorf("after %v", o.elapsed)
		}
		return o
	}},
	{"13", "epmd is not executable", func(h *faultHost) outcome {
		return h.ensure("--epmd", h.file("epmd", "#!/bin/sh\n", 0o644))
	}},
	{"14a", "epmd is for another machine", func(h *faultHost) outcome {
		elf := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 121)...)
		elf[16], elf[18] = 2, 0xf7 // an executable, for BPF
		return h.ensure("--epmd", h.file("epmd", string(elf), 0o755))
	}},
	{"14b", "epmd is a text without #!", func(h *faultHost) outcome {
		return h.ensure("--epmd", h.file("epmd", "sleep 60\n", 0o755))
	}},
	{"14c", "epmd is a script whose interpreter is not there", func(h *faultHost) outcome {
		return h.ensure("--epmd", h.file("epmd", "#!/no/such/sh\n", 0o755))
	}},
	{"15", "epmd is a folder", func(h *faultHost) outcome {
		return h.ensure("--epmd", h.dir)
	}},
	{"16a", "epmd is a link to nothing", func(h *faultHost) outcome {
		path := filepath.Join(h.dir, "epmd")
		h.must(os.Symlink("nothing", path))
		return h.ensure("--epmd", path)
	}},
	{"16b", "epmd is a link to itself", func(h *faultHost) outcome {
		path := filepath.Join(h.dir, "epmd")
		h.must(os.Symlink("epmd", path))
		return h.ensure("--epmd", path)
	}},
	{"17", "a stopped process holds the lock", (*faultHost).stoppedHolder},
	{"18a", "the lock's folder is missing, with its parents", func(h *faultHost) outcome {
		testenv.Need(h, "epmd")
		h.env = []string{"XDG_RUNTIME_DIR=" + h.dir + "/none", "XDG_CACHE_HOME=" + h.home + "/none/either"}
		return h.ensure()
	}},
	{"18b", "it is read-only", func(h *faultHost) outcome {
		return h.badLockFolder(func(path string) error { return os.Mkdir(path, 0o500) })
	}},
	{"18c", "it is another user's", func(h *faultHost) outcome {
		return h.badLockFolder(func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chown(path, bob, bob)) })
	}},
	{"18d", "it is a link", func(h *faultHost) outcome {
		h.needRoot()
		trap := filepath.Join(h.dir, "trap")
		h.must(errors.Join(os.Mkdir(trap, 0o700), os.Chown(trap, alice, alice)))
		return h.badLockFolder(func(path string) error { return os.Symlink(trap, path) })
	}},
	{"18e", "everybody may write to it", func(h *faultHost) outcome {
		return h.badLockFolder(func(path string) error { return errors.Join(os.Mkdir(path, 0o777), os.Chmod(path, 0o777)) })
	}},
	{"18f", "it is so in every place, and the temp folder is read-only", func(h *faultHost) outcome {
		o := h.badLockFolder(func(path string) error {
			return errors.Join(os.Mkdir(path, 0o777), os.Chmod(path, 0o777), os.Chmod(h.home, 0o500))
		})
		h.must(os.Chmod(h.home, 0o700))
		return o
	}},
	{"18g", "the lock and the log are links", func(h *faultHost) outcome {
		return h.badStateFiles(func(path string) error { return os.Symlink(h.file("victim", "precious", 0o666), path) })
	}},
	{"18h", "the lock and the log are pipes", func(h *faultHost) outcome {
		return h.badStateFiles(func(path string) error { return syscall.Mkfifo(path, 0o600) })
	}},
	{"18i", "the lock and the log are folders", func(h *faultHost) outcome {
		return h.badStateFiles(func(path string) error { return os.Mkdir(path, 0o700) })
	}},
	{"18j", "no such directory, as in 18f, and epmd ends with 1 and a message, which nothing keeps", func(h *faultHost) outcome {
		h.program("echo 'no luck today' >&2; exit 1")
		o := h.badLockFolder(func(path string) error {
			return errors.Join(os.Mkdir(path, 0o777), os.Chmod(path, 0o777), os.Chmod(h.home, 0o500))
		})
		h.must(os.Chmod(h.home, 0o700))
		return o
	}},
	{"19a", "the disk is full: no file can be made", func(h *faultHost) outcome {
		return h.isolated(`ip link set lo up; mount -t tmpfs -o nr_inodes=1 none "$HOME"; "$@"`)
	}},
	{"19b", "the disk is full: no byte can be written", func(h *faultHost) outcome {
		return h.isolated(`ip link set lo up; mount -t tmpfs -o size=4k none "$HOME"; echo >"$HOME/full"
			{ ! echo >"$HOME/more" || exit 1; } 2>/dev/null; "$@"`)
	}},
	{"19c", "the disk is full, and epmd ends with 1 and a message", func(h *faultHost) outcome {
		h.program("echo 'no luck today' >&2; exit 1")
		return h.isolated(`ip link set lo up; mount -t tmpfs -o size=4k none "$HOME"; echo >"$HOME/full"
			{ ! echo >"$HOME/more" || exit 1; } 2>/dev/null; "$@"`)
	}},
	{"19d", "no file may grow (RLIMIT_FSIZE), and epmd ends with 1 and a message", func(h *faultHost) outcome {
		h.program("trap '' XFSZ; echo 'no luck today' >&2; exit 1")
		return h.isolated(`ip link set lo up; prlimit --pid $$ --fsize=0; "$@"`)
	}},
	{"20", "neither HOME nor an XDG variable", func(h *faultHost) outcome {
		h.env = []string{"HOME=", "TMPDIR="}
		return h.isolated(onlyTmp + `"$@" && test -f /tmp/beamrun-0/epmd-*.lock`)
	}},
	{"21a", "no descriptor is left for the probe (EMFILE)", func(h *faultHost) outcome {
		return h.limited("nofile", "unreachable")
	}},
	{"21b", "no descriptor is left for the daemon", func(h *faultHost) outcome {
		return h.limited("nofile", "spawn")
	}},
	{"21c", "the user may start no process more (RLIMIT_NPROC)", func(h *faultHost) outcome {
		h.as(carol)
		return h.limited("nproc", "spawn")
	}},
	{"22", "every file system is read-only", func(h *faultHost) outcome {
		return h.isolated(`ip link set lo up; ` + readOnly + ` "$@"`)
	}},
	{"23", "an ordinary user without a home, and only /tmp to write to", func(h *faultHost) outcome {
		h.env = []string{"HOME=/nonexistent", "TMPDIR="}
		return h.isolated(onlyTmp + asAlice + `"$@" && test -f /tmp/beamrun-$ALICE/epmd-*.lock`)
	}},
	{"28", "a deadline of 1 ms", func(h *faultHost) outcome {
		h.program("sleep 60")
		o := h.ensure("--timeout=1ms")
		if o.elapsed > time.Second {
			h.Errorf("after %v", o.elapsed)
		}
		// how far it came differs
		o.Message = regexp.MustCompile(`^epmd on (127\.0\.0\.1|\[::1\]):\d+: timeout: .*context deadline exceeded.*`).ReplaceAllString(
			o.Message, "epmd on "+h.addr()+": timeout: … context deadline exceeded …")
		return o
	}},
	{"24", "two users, 20 callers each, race", (*faultHost).twoUsers},
	{"25a", "the call before was killed (SIGKILL) when it had the lock", func(h *faultHost) outcome { return h.afterKill("lock") }},
	{"25b", "the call before was killed when it had started epmd", func(h *faultHost) outcome {
		h.program(`until test -e ` + h.dir + `/go; do sleep 0.01; done; exec epmd "$@"`)
		return h.afterKill("spawned")
	}},
	{"25c", "the call before was killed when its epmd listened", func(h *faultHost) outcome { return h.afterKill("listens") }},
	{"29a", "the clock is set back and forward an hour, over and over, while epmd is silent", func(h *faultHost) outcome {
		h.beamrun = restlessBeamrun
		epmdtest.Listen(h.T, h.addr(), epmdtest.Silent)
		return h.ensure(short)
	}},
	{"29b", "the same, while a stopped process holds the lock", func(h *faultHost) outcome {
		h.beamrun = restlessBeamrun
		return h.stoppedHolder()
	}},
	{"29c", "the same, while epmd starts and listens after 1 s", func(h *faultHost) outcome {
		testenv.Need(h, "epmd")
		h.beamrun = restlessBeamrun
		h.program(`sleep 1; exec epmd "$@"`)
		o := h.ensure()
		if o.elapsed < time.Second || o.elapsed > 2*time.Second {
			h.Errorf("after %v", o.elapsed)
		}
		return o
	}},
	{"30a", "a host with IPv6 only", func(h *faultHost) outcome {
		return h.isolated(`ip link set lo up; ip addr del 127.0.0.1/8 dev lo; "$@"`)
	}},
	{"30b", "a host with IPv4 only", func(h *faultHost) outcome {
		return h.isolated(ipv4Only + `"$@"`)
	}},
	{"30c", "the same, and 127.0.0.1 is asked for, where epmd adds [::1] by itself", func(h *faultHost) outcome {
		o := h.isolated(ipv4Only + `"$@" --local`)
		// some epmds end without [::1], whoever starts them
		// (https://github.com/erlang/otp/issues/4820): OTP 23's
		if !o.epmd && h.isolated(ipv4Only+`! ERL_EPMD_PORT=4369 timeout 5 epmd -address 127.0.0.1 2>/dev/null || exit 1; "$@"`).epmd {
			h.row = &faultRow{number: "30e", fault: "the same as 30c, and epmd is OTP 23's, which ends without [::1]"}
		}
		return o
	}},
	{"30d", "no loopback interface is up", func(h *faultHost) outcome {
		return h.isolated(`"$@"`)
	}},
	{"30f", "the port is also an ephemeral one, so that a socket which is to connect to it may meet itself", func(h *faultHost) outcome {
		return h.isolated(`ip link set lo up; echo "$ERL_EPMD_PORT $((ERL_EPMD_PORT + 1))" >/proc/sys/net/ipv4/ip_local_port_range; "$@"`)
	}},
	{"31a", "ERL_EPMD_PORT and ERL_EPMD_ADDRESS are empty", func(h *faultHost) outcome {
		h.env = []string{"ERL_EPMD_PORT=", "ERL_EPMD_ADDRESS="}
		return h.isolated(`ip link set lo up; "$@" && ss -ltnH | grep -q '0.0.0.0:4369'`)
	}},
	{"31b", "ERL_EPMD_PORT is no number", func(h *faultHost) outcome {
		h.env = []string{"ERL_EPMD_PORT=epmd"}
		return h.ensure()
	}},
	{"31c", "ERL_EPMD_PORT is too large", func(h *faultHost) outcome {
		h.env = []string{"ERL_EPMD_PORT=65536"}
		return h.ensure()
	}},
	{"31d", "ERL_EPMD_ADDRESS is a host name", func(h *faultHost) outcome {
		h.env = []string{"ERL_EPMD_ADDRESS=localhost"}
		return h.ensure()
	}},
	{"31e", "ERL_EPMD_ADDRESS has several addresses", func(h *faultHost) outcome {
		h.env = []string{"ERL_EPMD_ADDRESS=127.0.0.3,127.0.0.4,::1"}
		return h.isolated(`ip link set lo up; "$@" && test "$(ss -ltnH | wc -l)" = 4`)
	}},
	{"31f", "one of the addresses is not this host's", func(h *faultHost) outcome {
		o := h.isolated(`ip link set lo up; "$@" --address 127.0.0.1,10.1.1.2`)
		o.Message = strings.Replace(o.Message, "ipaddr 0.0.0.0", "ipaddr 10.1.1.2", 1) // OTP 23's says it wrong
		return o
	}},
	{"31g", "none of the addresses is this host's", func(h *faultHost) outcome {
		return h.isolated(`ip link set lo up; "$@" --address 10.1.1.2`)
	}},
	{"31h", "a port below 1024, and an ordinary user", func(h *faultHost) outcome {
		h.env = []string{"ERL_EPMD_PORT=1023"}
		return h.isolated(`ip link set lo up; chown $ALICE "$HOME"; ` + asAlice + `"$@"`)
	}},
	{"33", "no epmd is installed", func(h *faultHost) outcome {
		return h.isolated(`ip link set lo up; mount -t tmpfs none /mnt; cp "$1" /mnt/beamrun; shift
			PATH=/usr/local/bin:/usr/bin exec "$(command -v chroot)" /mnt /beamrun "$@"`)
	}},
	{"34a", "systemd has to run epmd, and did not boot this host", func(h *faultHost) outcome {
		return h.isolated(`ip link set lo up; mount -t tmpfs none /run; "$@" --detach systemd`)
	}},
	{"34b", "BEAMRUN_DETACH is no way", func(h *faultHost) outcome {
		h.env = []string{"BEAMRUN_DETACH=docker"}
		return h.ensure()
	}},
	{"35a", "a program that ends each connection after 0.9 s, and a deadline of 1 s", func(h *faultHost) outcome {
		h.listenAndClose("tcp4", "127.0.0.1", 900*time.Millisecond)
		return h.inTime(time.Second, h.ensure)
	}},
	{"35b", "the same, for a launch", func(h *faultHost) outcome {
		h.listenAndClose("tcp4", "127.0.0.1", 900*time.Millisecond)
		return h.inTime(time.Second, h.launch)
	}},
	{"35c", "the same, for a launch with --watch", func(h *faultHost) outcome {
		h.listenAndClose("tcp4", "127.0.0.1", 900*time.Millisecond)
		return h.inTime(time.Second, h.launch, "--watch")
	}},
	{"35d", "the same, and a deadline of 100 ms", func(h *faultHost) outcome {
		h.listenAndClose("tcp4", "127.0.0.1", 900*time.Millisecond)
		return h.inTime(100*time.Millisecond, h.ensure)
	}},
	{"35e", "epmd never listens, for a launch with a deadline of 1 s", func(h *faultHost) outcome {
		h.program("sleep 60 & sleep 60")
		return h.inTime(time.Second, h.launch)
	}},
	{"35f", "the same, with --watch", func(h *faultHost) outcome {
		h.program("sleep 60 & sleep 60")
		return h.inTime(time.Second, h.launch, "--watch")
	}},
	{"32", "1,020 connections are open to epmd, its limit", func(h *faultHost) outcome {
		h.epmd()
		for range 1030 {
			conn, err := net.Dial("tcp", h.addr())
			h.must(err)
			h.Cleanup(func() { conn.Close() })
		}
		o := h.ensure(short)
		o.Message = strings.Replace(o.Message, "read: connection reset by peer", "unexpected EOF", 1) // the one or the other
		return o
	}},
}

// callFaults are those of a caller in Go. They happen in this process, so one after the other.
var callFaults = []faultRow{
	{"27a", "the context ends before the call", func(h *faultHost) outcome {
		ctx, cancel := context.WithCancel(h.Context())
		cancel()
		return h.call(ctx)
	}},
	{"27b", "the context ends while epmd does not reply", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.Silent)
		return h.callCanceled()
	}},
	{"27c", "the context ends while another process holds the lock", func(h *faultHost) outcome {
		h.program("sleep 60")
		holder := h.command()
		h.must(holder.Start())
		defer h.killProcesses()
		h.await(func() bool { return len(h.processes()) == 3 }) // this one, it and the script
		return h.callCanceled()
	}},
	{"27d", "the context ends while the daemon starts", func(h *faultHost) outcome {
		h.program("sleep 60")
		return h.callCanceled()
	}},
}

type faultRow struct {
	number, fault string
	run           func(*faultHost) outcome
}

func TestFaults(t *testing.T) {
	table := readFaultTable(t)
	if _, err := builtBeamrun(); err != nil {
		t.Fatal(err)
	}
	for _, f := range callFaults {
		t.Run(f.number, func(t *testing.T) {
			h := newFaultHost(t)
			for key, value := range map[string]string{"HOME": h.home, "TMPDIR": h.home, "XDG_RUNTIME_DIR": "", "XDG_CACHE_HOME": "", "ERL_EPMD_ADDRESS": ""} {
				t.Setenv(key, value)
			}
			table.check(h, f, f.run(h))
		})
	}
	t.Run("rows", func(t *testing.T) { // ends when all of them have
		for _, f := range faults {
			t.Run(f.number, func(t *testing.T) {
				// Those hold some thousand connections. In the rest this process has to be found as the
				// owner of a port, among all its descriptors.
				if f.number != "1c" && f.number != "32" {
					t.Parallel()
				}
				h := newFaultHost(t)
				table.check(h, f, f.run(h))
			})
		}
	})
	listed := map[string]bool{"26": true, "30e": true} // that of package ensure, TestChaos; 30c's, with an old epmd
	for _, f := range slices.Concat(callFaults, faults) {
		listed[f.number] = true
	}
	for number := range table.rows {
		if !listed[number] {
			t.Errorf("the table has a row %s that nothing tests", number)
		}
	}
	if *update {
		table.write(t)
	}
}

func (h *faultHost) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// await waits for a state of the host.
func (h *faultHost) await(is func() bool) {
	h.Helper()
	testenv.Eventually(h, "the state of the host that the row needs", is)
}

// listenAndClose takes the port on one address and closes every connection after that time.
func (h *faultHost) listenAndClose(network, host string, after time.Duration) {
	h.Helper()
	l, err := net.Listen(network, net.JoinHostPort(host, strconv.Itoa(int(h.port))))
	h.must(err)
	h.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.ReadFull(conn, make([]byte, 3)) // without it, the peer may see a reset
			time.AfterFunc(after, func() { conn.Close() })
		}
	}()
}

// fillBacklog makes connections to a stopped epmd until one is not accepted.
func (h *faultHost) fillBacklog() {
	h.Helper()
	for range 10_000 {
		conn, err := net.DialTimeout("tcp", h.addr(), time.Second)
		if err != nil {
			return
		}
		h.Cleanup(func() { conn.Close() })
	}
	h.Error("the backlog has no end")
}

// inTime is a call that takes all of the time that it is given, and no more.
func (h *faultHost) inTime(limit time.Duration, call func(args ...string) outcome, args ...string) outcome {
	h.Helper()
	o := call(append(args, "--timeout", limit.String())...)
	h.Logf("%v of %v", o.elapsed, limit)
	if o.elapsed < limit*9/10 || o.elapsed > limit+500*time.Millisecond { // a busy machine needs some of it
		h.Errorf("it took %v, not %v", o.elapsed, limit)
	}
	return o
}

// badLockFolder gives an ordinary user a directory for the lock that make made, in each place but the
// temp directory; nothing may come into it.
func (h *faultHost) badLockFolder(make func(path string) error) outcome {
	h.Helper()
	testenv.Need(h, "epmd")
	runtime := filepath.Join(h.dir, "run")
	parents := []string{runtime, filepath.Join(h.home, ".cache")}
	h.as(alice)
	h.env = []string{"XDG_RUNTIME_DIR=" + runtime}
	for _, dir := range parents {
		path := filepath.Join(dir, "beamrun")
		h.must(errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, alice, alice), make(path)))
		if info, _ := os.Lstat(path); info.Mode().IsDir() && info.Sys().(*syscall.Stat_t).Uid == 0 {
			h.must(os.Chown(path, alice, alice))
		}
	}
	o := h.ensure()
	for _, dir := range parents {
		if files, err := os.ReadDir(filepath.Join(dir, "beamrun")); err != nil || len(files) > 0 {
			h.Errorf("in %s: %v, %v", dir, files, err)
		}
	}
	return o
}

// badStateFiles puts something in the place of the lock and of the log.
func (h *faultHost) badStateFiles(make func(path string) error) outcome {
	h.Helper()
	testenv.Need(h, "epmd")
	dir := filepath.Join(h.home, ".cache", "beamrun")
	h.must(os.MkdirAll(dir, 0o700))
	for _, name := range []string{"lock", "log"} {
		h.must(make(filepath.Join(dir, fmt.Sprintf("epmd-%d.%s", h.port, name))))
	}
	return h.ensure()
}

// stoppedHolder is a call while another one holds the lock and is stopped.
func (h *faultHost) stoppedHolder() outcome {
	h.Helper()
	h.program("sleep 60")
	holder := h.command()
	h.must(holder.Start())
	defer h.killProcesses()
	h.await(func() bool { return len(h.processes()) == 3 }) // it, the script and its sleep
	syscall.Kill(holder.Process.Pid, syscall.SIGSTOP)
	return h.ensure(short)
}

// callCanceled calls the library and ends its context after 100 ms.
func (h *faultHost) callCanceled() outcome {
	h.Helper()
	ctx, cancel := context.WithCancel(h.Context())
	defer cancel()
	time.AfterFunc(100*time.Millisecond, cancel)
	o := h.call(ctx)
	if o.elapsed > time.Second {
		h.Errorf("it took %v", o.elapsed)
	}
	return o
}

// limited is a call under the highest limit of a resource that makes it fail with that kind of
// error. How much is too little depends on Go's runtime. Without threads it can't start at all, and
// says so in its own words.
func (h *faultHost) limited(resource, kind string) (o outcome) {
	h.Helper()
	call := h.command()
	for try := range 200 {
		limit := 20 - try%20
		if o.Kind != "" && limit == 20 {
			break
		}
		var stdout, stderr bytes.Buffer
		cmd := h.wrap("prlimit", append([]string{fmt.Sprintf("--%s=%d", resource, limit), call.Path}, call.Args[1:]...)...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.Run()
		code := cmd.ProcessState.ExitCode()
		switch {
		case code == 2 && bytes.Contains(stderr.Bytes(), []byte("may need to increase max user processes (ulimit -u)")):
		case stdout.Len() == 0 && resource == "nofile" && limit < 3: // not even three streams
		default:
			if now := h.read(code, stdout.Bytes()); now.Kind == kind && o.Kind == "" {
				o = now
			} else if now.Kind != "" && now.Kind != "spawn" && now.Kind != "unreachable" || stderr.Len() > 0 {
				h.Errorf("with %d: %s%s", limit, &stdout, &stderr)
			}
		}
		testenv.Kill(h, h.port)
	}
	return o
}

// twoUsers lets the callers of two users, who have a lock each, start at once. All of them have to
// succeed; one started the epmd that stays.
func (h *faultHost) twoUsers() outcome {
	h.Helper()
	testenv.Need(h, "epmd")
	h.needRoot()
	homes := map[int]string{alice: h.home, bob: filepath.Join(h.dir, "bob")}
	h.must(errors.Join(os.Chown(h.home, alice, alice), os.Mkdir(homes[bob], 0o700), os.Chown(homes[bob], bob, bob)))
	states := make(chan string, 40)
	for range cap(states) / 2 {
		for uid, home := range homes {
			one := *h
			one.uid, one.home = uid, home
			cmd := one.command()
			go func() {
				out, err := cmd.Output()
				if err != nil {
					h.Errorf("%v: %s", err, out)
					states <- ""
					return
				}
				states <- h.read(0, out).state
			}()
		}
	}
	count := map[string]int{}
	for range cap(states) {
		count[<-states]++
	}
	if now := h.ensure(); now.state != "already running" {
		h.Errorf("afterwards: %+v", now)
	}
	h.await(func() bool { return len(h.processes())+len((&faultHost{home: homes[bob]}).processes()) == 1 })
	return outcome{epmd: true, state: fmt.Sprintf("started by %d, already running for %d", count["started"], count["already running"])}
}

// afterKill stops calls at random moments until one is at the given step, kills that one with
// SIGKILL, and calls again. Whatever the step, what a killed call leaves must not keep the next
// from ending with one epmd.
func (h *faultHost) afterKill(want string) outcome {
	h.Helper()
	testenv.Need(h, "epmd")
	seen := map[string]int{}
	longest := 8 * time.Millisecond // until it is stopped
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		cmd := h.command()
		h.must(cmd.Start())
		if want == "spawned" { // and stays so, until the file is there that its epmd waits for
			h.await(func() bool { return h.step(cmd.Process.Pid) == want })
		} else {
			time.Sleep(rand.N(longest))
		}
		syscall.Kill(cmd.Process.Pid, syscall.SIGSTOP)
		h.await(func() bool { s := procState(cmd.Process.Pid); return s == "T" || s == "Z" })
		step := h.step(cmd.Process.Pid)
		cmd.Process.Kill()
		cmd.Wait()
		h.file("go", "", 0o600)
		o := h.ensure()
		if !o.epmd {
			h.Errorf("after a kill at the step %q: %+v", step, o)
		}
		h.await(func() bool { return len(h.processes()) == 1 })
		testenv.Kill(h, h.port)
		if seen[step]++; step == want {
			h.Logf("killed until one was at the step %q: %v", want, seen)
			o.state = "started, or already running"
			return o
		}
		// how long a step takes depends on how busy the machine is
		if slices.Index(steps, step) < slices.Index(steps, want) {
			longest += longest / 8
		} else {
			longest -= longest / 8
		}
	}
	h.Fatalf("no call was stopped at the step %q: %v", want, seen)
	return outcome{}
}

// steps of a call, the first of which is before any other.
var steps = []string{"", "lock", "spawned", "listens", "ended"}

// step says how far a stopped call got.
func (h *faultHost) step(pid int) string {
	locks, _ := os.ReadFile("/proc/locks")
	switch has := bytes.Contains(locks, fmt.Appendf(nil, "WRITE %d ", pid)); {
	case procState(pid) == "Z":
		return "ended"
	case has && testenv.PID(h.port) != 0:
		return "listens"
	case has && len(childArgs(pid)) > 0:
		return "spawned"
	case has:
		return "lock"
	}
	return ""
}

// procState is the state of a process, as ps shows it.
func procState(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text), ") ")
	return after[:min(1, len(after))]
}

// Pieces of shell: the only directory to write to is an empty /tmp; what follows is run by an ordinary
// user; no file system can be written to.
const (
	onlyTmp = `ip link set lo up; mount -t tmpfs -o mode=755 none /mnt; cp "$1" /mnt/beamrun; mount -t tmpfs none /tmp
		shift; set -- /mnt/beamrun "$@"; `
	ipv4Only = `echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up; `
	asAlice  = `setpriv --reuid $ALICE --regid $ALICE --clear-groups `
	readOnly = `mount --make-rprivate /
		while read -r _ dir type _; do
			case $type in proc|sysfs|devpts|cgroup*) ;; *) mount -o remount,bind,ro "$dir" || :; esac
		done </proc/self/mounts 2>/dev/null; `
)
