package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/internal/testenv"
)

// hersEverywhere makes all that root's environment names mallory's, with a trap in each place, as
// after sudo -E and worse. as_root runs a command of beamrun's there, below strace, and prints what
// it did with files.
const hersEverywhere = `
	mkdir /tmp/own; cp /etc/passwd /tmp/own/passwd; cp /etc/shadow /tmp/own/shadow; chmod 400 /tmp/own/shadow
	cat >/run/trap <<-'END'
		#!/bin/sh
		echo "$(/usr/bin/id -u) $0 $*" >>/home/mallory/marker
		exec "/usr/bin/${0##*/}" "$@"
	END
	mallory bash -c '
		umask 022; chmod 755 /home/mallory; >marker; chmod 666 marker
		mkdir -p home/.config/erlang home/.cache/beamrun tmp run/beamrun cwd bin lib config/erlang cache/beamrun state \
			otp/erts-99.0/bin home/.asdf/installs/erlang/99/erts-99.0/bin home/.asdf/shims
		for dir in bin otp/erts-99.0/bin home/.asdf/installs/erlang/99/erts-99.0/bin home/.asdf/shims; do
			for name in epmd erl getent systemctl systemd-run loginctl busctl id sh; do install -m 755 /run/trap $dir/$name; done
		done
		printf abcdefghijklmnopqrst >home/.erlang.cookie; cp home/.erlang.cookie config/erlang/; chmod 400 home/.erlang.cookie
		ln -s /tmp/own/shadow home/shadow; ln -s /tmp/own/passwd home/passwd
		ln -s /tmp/own tmp/beamrun-0; echo hers >run/beamrun/erl_epmd.beam
		cat >cwd/inet_config.erl <<-END
			-module(inet_config).
			-export([init/0]).
			-on_load(trap/0).
			trap() -> prim_file:write_file("/home/mallory/cwd/ran-" ++ os:getpid(), <<>>).
			init() -> ok.
		END
		cd cwd && erlc inet_config.erl
	'
	clean() { env -i PATH=/usr/bin:/bin HOME=/root "$BUILT" -q "$@" 2>&1; }
	run=0
	as_root() { # -DDD: strace must not wait for the epmd
		echo "RUN $*"
		env -C /home/mallory/cwd HOME=/home/mallory/home TMPDIR=/home/mallory/tmp XDG_RUNTIME_DIR=/home/mallory/run \
			XDG_CONFIG_HOME=/home/mallory/config XDG_CACHE_HOME=/home/mallory/cache XDG_STATE_HOME=/home/mallory/state \
			BINDIR=/home/mallory/bin ROOTDIR=/home/mallory/otp RELEASE_ROOT=/home/mallory/otp LD_LIBRARY_PATH=/home/mallory/lib \
			ERL_LIBS=/home/mallory/lib TZ=/home/mallory/tz MY_COOKIE=abcdefghijklmnopqrst BEAMRUN_SECRET=secret \
			PATH="/home/mallory/bin:/home/mallory/home/.asdf/shims:$PATH" \
			timeout -k 1 20 strace -DDD -f -y -s 4096 -o "/run/trace.$((++run))" \
			-e trace=%file,clone,clone3,fork,vfork,fchmod,fchown,fchmodat,fchownat,renameat,linkat,unlinkat,mkdirat \
			"$BUILT" --timeout 5s "$@" >/run/said 2>&1
		echo "EXIT $?"
		sed 's/^/SAID /' /run/said
		cat "/run/trace.$run"
	}
`

// tracedCall is a system call of a trace: "123 openat(AT_FDCWD</cwd>, "x", …) = 3</cwd/x>".
type tracedCall struct {
	pid  int
	name string
	args string
}

var (
	callLine = regexp.MustCompile(`^(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*)$`)
	pathArg  = regexp.MustCompile(`(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"`)
	// a thread's execve goes on as the process
	threadExec = regexp.MustCompile(`^(\d+) +\+\+\+ superseded by execve in pid (\d+) \+\+\+$`)
	newPID     = regexp.MustCompile(`\) += (\d+)$`)
)

// touches are the system calls by which nothing of mallory's may be touched. Only to look is
// allowed: stat, readlink, access.
var touches = regexp.MustCompile(`^(open|creat|exec|rename|link|symlink|unlink|rmdir|mkdir|mknod|chmod|fchmod|chown|lchown|fchown|truncate|utime|chdir|mount)`)

// touched returns the paths below /home/mallory that the process and its helpers touched, but not
// what program did after its execve.
func touched(trace []string, program string) (found []string) {
	var calls []tracedCall
	for _, line := range trace {
		if m := callLine.FindStringSubmatch(line); m != nil {
			pid, _ := strconv.Atoi(m[1])
			calls = append(calls, tracedCall{pid, m[2], m[3]})
		} else if m := threadExec.FindStringSubmatch(line); m != nil {
			pid, _ := strconv.Atoi(m[2])
			calls = append(calls, tracedCall{pid, "superseded", ") = " + m[1]})
		}
	}
	became := map[int]int{} // pid → index of the call by which it, or a process that it comes from, became the program
	for range calls {       // until nothing changes
		n := len(became)
		for i, c := range calls {
			child := newPID.FindStringSubmatch(c.args)
			switch at, is := became[c.pid]; {
			case strings.HasPrefix(c.name, "exec") && strings.HasPrefix(c.args, strconv.Quote(program)+",") && program != "" && !is:
				became[c.pid] = i
			case is && i > at && child != nil && (strings.HasPrefix(c.name, "clone") || strings.HasSuffix(c.name, "fork") || c.name == "superseded"):
				if pid, _ := strconv.Atoi(child[1]); became[pid] == 0 {
					became[pid] = at
				}
			}
		}
		if len(became) == n {
			break
		}
	}
	for i, c := range calls {
		if at, is := became[c.pid]; is && i > at || !touches.MatchString(c.name) {
			continue
		}
		args := c.args
		if strings.HasPrefix(c.name, "exec") {
			args, _, _ = strings.Cut(args, ", [") // what follows are its arguments and environment
		}
		args, _, _ = strings.Cut(args, ") = ")
		for _, m := range pathArg.FindAllStringSubmatch(args, -1) {
			path := m[2]
			if !filepath.IsAbs(path) {
				dir := m[1]
				if dir == "" {
					dir = "/home/mallory/cwd"
				}
				path = filepath.Join(dir, path)
			}
			if strings.HasPrefix(path, "/home/mallory/") {
				found = append(found, fmt.Sprintf("%s %s", c.name, path))
			}
		}
	}
	return found
}

// As root nothing is opened, executed, replaced or made below a directory that another user can
// write to, whatever the environment names: no cookie is read or made there, no epmd or helper of
// hers runs, no lock, log or module is kept there.
func TestRootTouchesNoPathOfOthers(t *testing.T) {
	testenv.Need(t, "strace", "erlc", "epmd")
	type traced struct {
		args    string
		code    int
		program string   // what PROGRAM does is not counted
		asked   []string // what was asked for by a flag, and so is allowed
		said    string
		warm    bool
	}
	commands := []traced{
		{args: "ensure", said: "started"},
		{args: "ensure", warm: true, said: "already running"},
		{args: "names", warm: true},
		{args: "doctor", warm: true, code: -1},
		{args: "repair", warm: true},
		{args: "repair --dry-run", warm: true},
		{args: "repair"},
		{args: "stop", warm: true, said: "stopped"},
		{args: "doctor", code: -1},
		{args: "cookie new"},
		{args: "cookie path"},
		{args: "cookie check", code: 1, said: "sudo -H"},
		{args: "cookie rotate", code: 1, said: "sudo -H"},
		{args: "--cookie file:/home/mallory/home/shadow cookie check", code: 1, said: "belongs to uid 54321"},
		{args: "--cookie file:/home/mallory/home/passwd cookie rotate", code: 1, said: "belongs to uid 54321"},
		{args: "--cookie file:/home/mallory/home/new cookie rotate", code: 1, said: "belongs to uid 54321"},
		{args: "version"},
		{args: "help"},
		{args: "/bin/true", program: "/bin/true", said: "sudo -H"},
		{args: "/bin/true", program: "/bin/true", warm: true, said: "sudo -H"},
		{args: "--cookie user /bin/true", code: 1, said: "sudo -H"},
		{args: "--cookie file:/home/mallory/home/.erlang.cookie /bin/true", code: 1, said: "belongs to uid 54321"},
		{args: "--cookie fresh /bin/true", program: "/bin/true"},
		{args: "--cookie env:MY_COOKIE /bin/true", program: "/bin/true"},
		{args: "--cookie derive:x /bin/true", program: "/bin/true"},
		{args: "--cookie fresh /bin/true -sname x -remsh y", program: "/bin/true"},
		{args: "--watch /bin/true", program: "/bin/true"},
		{args: "--epmdless /bin/true", program: "/bin/true"},
		{args: "--epmdless names"},
		{args: "--epmdless doctor", code: -1},
		{args: "--epmd /home/mallory/bin/epmd ensure", asked: []string{"/home/mallory/bin/epmd", "/home/mallory/marker"}, said: "started"},
		{args: "--epmdless --peers /home/mallory/cwd/peers /bin/true", program: "/bin/true", asked: []string{"/home/mallory/cwd/peers"}},
	}
	var script strings.Builder
	script.WriteString(hersEverywhere + "\nmallory touch cwd/peers\n")
	for _, c := range commands {
		if c.warm {
			script.WriteString("clean ensure\n")
		} else {
			script.WriteString("clean stop\n")
		}
		if slices.Contains(c.asked, "/home/mallory/bin/epmd") { // from here on it may run
			script.WriteString("echo MARKER; cat /home/mallory/marker; ls /home/mallory/cwd | grep ran-; echo END\n")
		}
		script.WriteString("as_root " + c.args + "\n")
	}
	script.WriteString("clean stop\necho CHANGED; find /home/mallory -user 0; cmp /etc/passwd /tmp/own/passwd; cmp /etc/shadow /tmp/own/shadow; ls /tmp/own")
	out := neighbours(t, script.String())

	runs := strings.Split(out, "RUN ")[1:]
	if len(runs) != len(commands) {
		t.Fatalf("%d runs: %s", len(runs), out)
	}
	_, marker, _ := strings.Cut(out, "\nMARKER\n")
	if marker, _, _ = strings.Cut(marker, "END\n"); marker != "" {
		t.Errorf("root ran code of mallory's: %s", marker)
	}
	_, changed, _ := strings.Cut(out, "\nCHANGED\n")
	if changed != "passwd\nshadow\n" {
		t.Errorf("root left behind, or changed:\n%s", changed)
	}
	for i, c := range commands {
		t.Run(c.args, func(t *testing.T) {
			lines := strings.Split(runs[i], "\n")
			said := ""
			for _, line := range lines {
				if rest, ok := strings.CutPrefix(line, "SAID "); ok {
					said += rest + "\n"
				}
			}
			if code := lines[1]; c.code >= 0 && code != fmt.Sprint("EXIT ", c.code) || code == "EXIT 124" || !strings.Contains(said, c.said) {
				t.Errorf("%s, want %d and %q: %s", code, c.code, c.said, said)
			}
			for _, path := range touched(lines, c.program) {
				_, at, _ := strings.Cut(path, " ")
				if !slices.Contains(c.asked, at) {
					t.Error(path)
				}
			}
			if len(lines) < 4 {
				t.Errorf("no trace: %q", lines)
			}
		})
	}
}

// In a user namespace most owners have no number, root's too. There ensure and --epmdless work as
// they do outside, without a warning, and another user's directory is still passed over.
func TestUserNamespace(t *testing.T) {
	out := neighbours(t, `
		mkdir -p /run/user/54322; chown 54322 /run/user/54322; chmod 700 /run/user/54322
		mallory mkdir -m 755 tmp; chmod 755 /home/mallory
		try() {
			echo "TRY $1"; shift
			"$@" "$BUILT" ensure 2>&1 | sed 's/started .*/started/'
			"$@" "$BUILT" --epmdless /bin/sh -c 'case $ERL_ZFLAGS in *-beamrun_nodes*) echo epmdless;; esac' 2>&1
			"$@" "$BUILT" -q stop
		}
		victim unshare -r true || { echo "no user namespaces"; exit; }
		try home victim unshare -r
		try runtime victim unshare -r env XDG_RUNTIME_DIR=/run/user/54322
		try tmp victim unshare -r env HOME=/
		try unmapped victim unshare -U
		try root unshare -r
		try hers victim unshare -r env HOME=/ XDG_RUNTIME_DIR=/home/mallory TMPDIR=/home/mallory/tmp
		ls -A /home/mallory/tmp; ls /home/victim/.cache/beamrun /run/user/54322/beamrun
	`)
	if strings.Contains(out, "no user namespaces") {
		testenv.Skip(t, "users may make no user namespace here")
	}
	t.Log(out)
	for _, run := range strings.Split(out, "TRY ")[1:] {
		name, _, _ := strings.Cut(run, "\n")
		warned := strings.Contains(run, "warning: the lock and the log") || strings.Contains(run, "warning: no lock")
		if !strings.Contains(run, "started\n") || !strings.Contains(run, "epmdless\n") || warned != (name == "hers") {
			t.Errorf("%s", run)
		}
	}
}
