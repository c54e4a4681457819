package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/testenv"
)

// faults are all that was seen, or can be thought of, to stand between a caller and an epmd. The
// table of ensure/README.md has what beamrun makes of each, word by word.
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
	{"1c", "epmd is stopped, and so many wait for it that no connection is accepted",
		func(h *faultHost) outcome {
			syscall.Kill(h.epmd(), syscall.SIGSTOP)
			h.fillBacklog()
			return h.ensure(short)
		}},
	{"2a", "a program that accepts and is silent", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.Silent)
		return h.ensure(short)
	}},
	{"2b", "the same, of another user, so that what it is cannot be determined",
		func(h *faultHost) outcome {
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
	{"5", "a reply with another port", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.WrongPort(1234))
		return h.ensure(short)
	}},
	{"6", "a reset after the connection was accepted", func(h *faultHost) outcome {
		epmdtest.Listen(h.T, h.addr(), epmdtest.Reset)
		o := h.ensure(short)
		// the reset may come as early as that
		early := strings.NewReplacer("dial tcp "+h.addr()+": connect: ", "read: ",
			"send: ", "read: ")
		o.Message = early.Replace(o.Message)
		return o
	}},
	{"7", "another program has only [::]:PORT", func(h *faultHost) outcome {
		h.listenAndClose("tcp6", "::", 0)
		return h.ensure(short)
	}},
	{"8a", "another program has only 127.0.0.1:PORT, and 0.0.0.0 is asked for",
		func(h *faultHost) outcome {
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
	{"10b", "so it does once, as one that lost the port to another user's, which has ended since",
		func(h *faultHost) outcome {
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
		// a busy machine needs some time for the script
		if o.elapsed < 3*time.Second || o.elapsed > 7*time.Second {
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
	{"14c", "epmd is a script, and its interpreter is missing", func(h *faultHost) outcome {
		return h.ensure("--epmd", h.file("epmd", "#!/no/such/sh\n", 0o755))
	}},
	{"15", "epmd is a directory", func(h *faultHost) outcome {
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
	{"18a", "the directory of the lock is missing, with its parents", func(h *faultHost) outcome {
		testenv.Need(h, "epmd")
		h.env = []string{"XDG_RUNTIME_DIR=" + h.dir + "/none",
			"XDG_CACHE_HOME=" + h.home + "/none/either"}
		return h.ensure()
	}},
	{"18b", "it is read-only", func(h *faultHost) outcome {
		return h.badLockDir(func(path string) error { return os.Mkdir(path, 0o500) })
	}},
	{"18c", "it is another user's", func(h *faultHost) outcome {
		return h.badLockDir(func(path string) error {
			return errors.Join(os.Mkdir(path, 0o700), os.Chown(path, bob, bob))
		})
	}},
	{"18d", "it is a link", func(h *faultHost) outcome {
		h.needRoot()
		trap := filepath.Join(h.dir, "trap")
		h.must(errors.Join(os.Mkdir(trap, 0o700), os.Chown(trap, alice, alice)))
		return h.badLockDir(func(path string) error { return os.Symlink(trap, path) })
	}},
	{"18e", "everybody may write to it", func(h *faultHost) outcome {
		return h.badLockDir(func(path string) error {
			return errors.Join(os.Mkdir(path, 0o777), os.Chmod(path, 0o777))
		})
	}},
	{"18f", "it is so in every place, and the temporary directory is read-only",
		func(h *faultHost) outcome {
			o := h.badLockDir(func(path string) error {
				return errors.Join(os.Mkdir(path, 0o777), os.Chmod(path, 0o777),
					os.Chmod(h.home, 0o500))
			})
			h.must(os.Chmod(h.home, 0o700))
			return o
		}},
	{"18g", "the lock and the log are links", func(h *faultHost) outcome {
		return h.badStateFiles(func(path string) error {
			return os.Symlink(h.file("victim", "precious", 0o666), path)
		})
	}},
	{"18h", "the lock and the log are pipes", func(h *faultHost) outcome {
		return h.badStateFiles(func(path string) error { return syscall.Mkfifo(path, 0o600) })
	}},
	{"18i", "the lock and the log are directories", func(h *faultHost) outcome {
		return h.badStateFiles(func(path string) error { return os.Mkdir(path, 0o700) })
	}},
	{"18j", "no such directory, as in 18f, and epmd ends with 1 and a message, which nothing keeps",
		func(h *faultHost) outcome {
			h.program("echo 'no luck today' >&2; exit 1")
			o := h.badLockDir(func(path string) error {
				return errors.Join(os.Mkdir(path, 0o777), os.Chmod(path, 0o777),
					os.Chmod(h.home, 0o500))
			})
			h.must(os.Chmod(h.home, 0o700))
			return o
		}},
	{"19a", "the disk is full: no file can be made", func(h *faultHost) outcome {
		return h.isolated(`ip link set lo up; mount -t tmpfs -o nr_inodes=1 none "$HOME"; "$@"`)
	}},
	{"19b", "the disk is full: no byte can be written", func(h *faultHost) outcome {
		return h.isolated(`ip link set lo up; mount -t tmpfs -o size=4k none "$HOME"
			echo >"$HOME/full"; { ! echo >"$HOME/more" || exit 1; } 2>/dev/null; "$@"`)
	}},
	{"19c", "the disk is full, and epmd ends with 1 and a message", func(h *faultHost) outcome {
		h.program("echo 'no luck today' >&2; exit 1")
		return h.isolated(`ip link set lo up; mount -t tmpfs -o size=4k none "$HOME"
			echo >"$HOME/full"; { ! echo >"$HOME/more" || exit 1; } 2>/dev/null; "$@"`)
	}},
	{"19d", "no file may grow (RLIMIT_FSIZE), and epmd ends with 1 and a message",
		func(h *faultHost) outcome {
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
	{"23", "an ordinary user without a home, and only /tmp to write to",
		func(h *faultHost) outcome {
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
		timeout := regexp.MustCompile(
			`^epmd on (127\.0\.0\.1|\[::1\]):\d+: timeout: .*context deadline exceeded.*`)
		o.Message = timeout.ReplaceAllString(o.Message,
			"epmd on "+h.addr()+": timeout: … context deadline exceeded …")
		return o
	}},
	{"24", "two users, 20 callers each, race", (*faultHost).twoUsers},
	{"25a", "the call before was killed (SIGKILL) when it had the lock",
		func(h *faultHost) outcome { return h.afterKill("lock") }},
	{"25b", "the call before was killed when it had started epmd", func(h *faultHost) outcome {
		h.program(`until test -e ` + h.dir + `/go; do sleep 0.01; done; exec epmd "$@"`)
		return h.afterKill("spawned")
	}},
	{"25c", "the call before was killed when its epmd listened",
		func(h *faultHost) outcome { return h.afterKill("listens") }},
	{"29a", "the clock is set back and forward an hour, over and over, while epmd is silent",
		func(h *faultHost) outcome {
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
	{"30c", "the same, and 127.0.0.1 is asked for, where epmd adds [::1] by itself",
		func(h *faultHost) outcome {
			o := h.isolated(ipv4Only + `"$@" --local`)
			// OTP 23's epmd ends without [::1], whoever starts it
			// (https://github.com/erlang/otp/issues/4820)
			if !o.epmd && h.isolated(ipv4Only+`! ERL_EPMD_PORT=4369 timeout 5 `+
				`epmd -address 127.0.0.1 2>/dev/null || exit 1; "$@"`).epmd {
				h.row = &faultRow{number: "30e",
					fault: "the same as 30c, and epmd is OTP 23's, which ends without [::1]"}
			}
			return o
		}},
	{"30d", "no loopback interface is up", func(h *faultHost) outcome {
		return h.isolated(`"$@"`)
	}},
	{"30f", "the port is also an ephemeral one, " +
		"so that a socket which is to connect to it may meet itself",
		func(h *faultHost) outcome {
			return h.isolated(`ip link set lo up; echo "$ERL_EPMD_PORT $((ERL_EPMD_PORT + 1))" \
				>/proc/sys/net/ipv4/ip_local_port_range; "$@"`)
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
		// OTP 23's epmd prints a wrong address
		o.Message = strings.Replace(o.Message, "ipaddr 0.0.0.0", "ipaddr 10.1.1.2", 1)
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
	{"35a", "a program that ends each connection after 0.9 s, and a deadline of 1 s",
		func(h *faultHost) outcome {
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
		// the one or the other
		o.Message = strings.Replace(o.Message,
			"read: connection reset by peer", "unexpected EOF", 1)
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

// Pieces of shell. With onlyTmp the only directory to write to is an empty /tmp. With ipv4Only the
// host has no IPv6. An ordinary user runs what follows asAlice. With readOnly no file system can be
// written to.
const (
	onlyTmp = `ip link set lo up; mount -t tmpfs -o mode=755 none /mnt; cp "$1" /mnt/beamrun
		mount -t tmpfs none /tmp; shift; set -- /mnt/beamrun "$@"; `
	ipv4Only = `echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up; `
	asAlice  = `setpriv --reuid $ALICE --regid $ALICE --clear-groups `
	readOnly = `mount --make-rprivate /
		while read -r _ dir type _; do
			case $type in
			proc|sysfs|devpts|cgroup*) ;;
			*) mount -o remount,bind,ro "$dir" || : ;;
			esac
		done </proc/self/mounts 2>/dev/null; `
)
