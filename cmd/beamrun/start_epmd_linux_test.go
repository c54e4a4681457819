package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// countErlsEpmd puts an Erlang on PATH that is the installed one, by links. It counts each epmd
// that its erl starts, a node's child nodes included. (They take the epmd of their own directory,
// never that of PATH. beamrun takes PATH's, so it is not counted.)
func countErlsEpmd(h *host) (starts func() int) {
	h.t.Helper()
	where := strings.Fields(h.run("erl", "-noinput", "-eval",
		`io:format("~s ~s", [code:root_dir(), os:getenv("BINDIR")]), halt().`))
	if len(where) != 2 {
		h.t.Fatalf("where Erlang is: %q", where)
	}
	oldRoot, oldBin, root := where[0], where[1], h.t.TempDir()
	erts := filepath.Join(filepath.Base(filepath.Dir(oldBin)), "bin")
	bin, log := filepath.Join(root, erts), filepath.Join(root, "starts")
	link := func(from, to string, but ...string) {
		entries, err := os.ReadDir(from)
		if err == nil {
			err = os.MkdirAll(to, 0o755)
		}
		for _, e := range entries {
			if name := e.Name(); !slices.Contains(but, name) {
				err = errors.Join(err,
					os.Symlink(filepath.Join(from, name), filepath.Join(to, name)))
			}
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	link(oldRoot, root, "bin", filepath.Dir(erts))
	link(filepath.Join(oldRoot, "bin"), filepath.Join(root, "bin"), "erl", "epmd")
	link(oldBin, bin, "erl", "epmd")
	erl := fmt.Sprintf("export ROOTDIR='%s' BINDIR='%s' EMU=beam PROGNAME=erl\n"+
		"exec '%[2]s/erlexec' \"$@\"\n", root, bin)
	counted := fmt.Sprintf("echo >>'%s'\nexec '%s/epmd' \"$@\"\n", log, oldBin)
	for path, text := range map[string]string{
		filepath.Join(bin, "epmd"):         counted,
		filepath.Join(bin, "erl"):          erl,
		filepath.Join(root, "bin", "erl"):  erl,
		filepath.Join(root, "path", "erl"): erl,
	} {
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755),
			os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755))
		if err != nil {
			h.t.Fatal(err)
		}
	}
	h.t.Setenv("PATH", filepath.Join(root, "path")+":"+os.Getenv("PATH"))
	return func() int {
		text, _ := os.ReadFile(log) // none before the first start
		os.Remove(log)
		return bytes.Count(text, []byte("\n"))
	}
}

// What erl's -start_epmd false does, and where it has to stand, on the Erlang that is installed.
func TestStartEpmdFalse(t *testing.T) {
	h := newHost(t)
	starts := countErlsEpmd(h)
	t.Setenv("ERL_CRASH_DUMP_SECONDS", "0")
	vmArgs := filepath.Join(t.TempDir(), "vm.args")
	if err := os.WriteFile(vmArgs, []byte("-sname x\n-start_epmd false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		up   = `io:format("up ~s~n",[node()]),halt().`
		upEx = `IO.puts("up #{node()}")`
		// a node that this one starts: by peer, or slave where there is no peer yet; both end it
		// with this one
		child = `M=case code:which(peer) of non_existing->slave;_->peer end,` +
			`R=case M of ` +
			`slave->{ok,S}=slave:start_link(list_to_atom(element(2,inet:gethostname())),child),` +
			`{ok,self(),S};` +
			`_->peer:start_link(#{name=>child%s})end,` +
			`{ok,_,C}=R,pong=net_adm:ping(C),io:format("up ~s by ~s~n",[C,M]),halt().`
		never = "-start_epmd false"
	)
	erl := func(args ...string) []string { return append([]string{"erl", "-noinput"}, args...) }
	sname := func(args ...string) []string { return append(erl("-sname", "x"), args...) }
	elixir := []string{"elixir", "--sname", "x", "-e", upEx}
	elixirNever := []string{"elixir", "--erl", never, "--sname", "x", "-e", upEx}
	iexNever := []string{"iex", "--erl", never, "--sname", "x", "-e", upEx + ";System.halt()"}
	beamrun := func(args []string) []string { return append([]string{"beamrun"}, args...) }
	version := h.run("erl", "-noinput", "-eval",
		`io:format("OTP ~s",[erlang:system_info(otp_release)]),halt().`)

	for _, tt := range []struct {
		name    string
		epmd    bool // one runs before
		env     string
		command []string
		boots   bool
		starts  int
	}{
		{"no epmd, erl", false, "", sname("-eval", up), true, 1},
		{"no epmd, erl " + never, false, "",
			sname("-start_epmd", "false", "-eval", up), false, 0},
		{"no epmd, elixir --erl", false, "", elixirNever, false, 0},
		{"no epmd, iex --erl", false, "", iexNever, false, 0},
		{"no epmd, vm.args", false, "", erl("-args_file", vmArgs, "-eval", up), false, 0},
		{"no epmd, after -extra: none of erl's", false, "",
			sname("-eval", up, "-extra", "-start_epmd", "false"), true, 1},
		{"no epmd, elixir's own --: none of erl's", false, "",
			[]string{"elixir", "--sname", "x", "-e", upEx, "--", "-start_epmd", "false"}, true, 1},

		{"beamrun, erl", false, "", beamrun(sname("-eval", up)), true, 1},
		{"beamrun, erl " + never, false, "",
			beamrun(sname("-start_epmd", "false", "-eval", up)), true, 0},
		{"beamrun, elixir --erl", false, "", beamrun(elixirNever), true, 0},
		{"beamrun, iex --erl", false, "", beamrun(iexNever), true, 0},
		{"beamrun, vm.args", false, "", beamrun(erl("-args_file", vmArgs, "-eval", up)), true, 0},

		{"epmd up, erl: one to no effect", true, "", sname("-eval", up), true, 1},
		{"epmd up, erl " + never, true, "",
			sname("-start_epmd", "false", "-eval", up), true, 0},
		{"epmd up, elixir: one to no effect", true, "", elixir, true, 1},
		{"epmd up, Node.start", true, "",
			[]string{"elixir", "-e", `{:ok,_}=Node.start(:x,:shortnames);` + upEx}, true, 0},
		{"epmd up, ERL_AFLAGS", true, "ERL_AFLAGS", sname("-eval", up), true, 0},
		{"epmd up, ERL_FLAGS", true, "ERL_FLAGS", sname("-eval", up), true, 0},
		{"epmd up, ERL_ZFLAGS", true, "ERL_ZFLAGS", sname("-eval", up), true, 0},
		{"epmd up, ELIXIR_ERL_OPTIONS, elixir", true, "ELIXIR_ERL_OPTIONS", elixir, true, 0},
		{"epmd up, ELIXIR_ERL_OPTIONS, erl: not read", true, "ELIXIR_ERL_OPTIONS",
			sname("-eval", up), true, 1},

		{"its child, neither with it", true, "", sname("-eval", fmt.Sprintf(child, "")), true, 2},
		{"its child, flag at the parent only", true, "",
			sname("-start_epmd", "false", "-eval", fmt.Sprintf(child, "")), true, 1},
		{"its child, ERL_AFLAGS", true, "ERL_AFLAGS",
			sname("-eval", fmt.Sprintf(child, "")), true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testenv.Kill(t, h.port)
			if tt.epmd {
				h.run("beamrun", "ensure")
			}
			if n := starts(); n != 0 {
				t.Errorf("%d epmds were counted before", n)
			}
			var out bytes.Buffer
			var said string
			var code, n int
			// erl itself does not wait for the epmd that it starts: on a busy machine that may
			// be too slow. The test is about who starts one.
			for range 5 {
				out.Reset()
				cmd := h.command(tt.command[0], tt.command[1:]...)
				if tt.env != "" {
					cmd.Env = append(cmd.Env, tt.env+"="+never)
				}
				cmd.Dir = t.TempDir()
				cmd.Stdout, cmd.Stderr = &out, &out
				begin := time.Now()
				cmd.Run()
				took := time.Since(begin).Round(10 * time.Millisecond)
				code, n = cmd.ProcessState.ExitCode(), starts()
				outcome := regexp.MustCompile(`(?m)^up .*|.*register/listen error.*`)
				said = strings.TrimSpace(outcome.FindString(out.String()))
				t.Logf("| %s | %s | exit %d | %v | %d | %s |",
					version, tt.name, code, took, n, said)
				isRace := tt.boots && !tt.epmd && tt.command[0] != "beamrun" && code != 0
				if !isRace {
					break
				}
				testenv.Kill(t, h.port)
			}
			boots := code == 0 && strings.HasPrefix(said, "up ")
			if boots != tt.boots || code == 0 && !boots ||
				!boots && !strings.Contains(said, "econnrefused") {
				t.Errorf("boots: %v, want %v: %s", boots, tt.boots, &out)
			}
			if n != tt.starts {
				t.Errorf("%d epmds were started, want %d", n, tt.starts)
			}
			if running := testenv.PID(h.port) != 0; running != tt.boots {
				t.Errorf("an epmd runs afterwards: %v", running)
			}
		})
	}
}

// When epmd dies, a node with -start_epmd false goes on, and neither it nor another one brings epmd
// back. After a `beamrun ensure` it registers again as any node does. OTP 23.2's nodes never do.
func TestStartEpmdFalseWhenEpmdDies(t *testing.T) {
	h := newHost(t)
	starts := countErlsEpmd(h)
	h.node("with", h.command("beamrun", "erl", "-noinput", "-sname", "with",
		"-start_epmd", "false"))
	if n := starts(); n != 0 {
		t.Errorf("the node started %d epmds", n)
	}
	h.node("without", h.command("erl", "-noinput", "-sname", "without"))
	starts()
	testenv.Kill(t, h.port)
	h.run("env", "ERL_CRASH_DUMP_SECONDS=0", "sh", "-c",
		"! erl -noinput -sname late -start_epmd false -eval 'halt().'")
	if n := starts(); n != 0 || testenv.PID(h.port) != 0 {
		t.Errorf("%d epmds were started, and one runs: %v", n, testenv.PID(h.port) != 0)
	}
	h.run("beamrun", "ensure")
	begin := time.Now()
	back := func(name string, wait time.Duration) bool {
		deadline := time.Now().Add(wait)
		for ; time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if _, err := epmd.Lookup(t.Context(), testenv.Loopback(h.port), name); err == nil {
				took := time.Since(begin).Round(10 * time.Millisecond)
				t.Logf("%s is registered again after %v", name, took)
				return true
			}
		}
		t.Logf("%s is not registered again", name)
		return false
	}
	control := back("without", 5*time.Second)
	wait := time.Second
	if control {
		wait = 10 * time.Second
	}
	if back("with", wait) != control {
		t.Errorf("without the flag: %v", control)
	}
	if n := starts(); n != 0 {
		t.Errorf("%d epmds were started", n)
	}
}
