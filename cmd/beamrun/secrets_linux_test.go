package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/testenv"
	"github.com/beamrun/beamrun/launcher"
)

// Where a secret may come from. No two are parts of each other, so that a finding tells which.
const (
	inUserFile = "Wq7userfileXk2"
	inFile     = "Wq7otherfileXk2"
	inEnv      = "Wq7environmentXk2"
	inRelease  = "Wq7releaseXk2"
	inSecret   = "Wq7deriveXk2"
	inFlags    = "Wq7flagsXk2"
	typed      = "Wq7typedXk2" // by mistake, as an argument of beamrun's: that one can't be kept out of its own arguments
)

var stored = []string{inUserFile, inFile, inEnv, inRelease, inSecret, inFlags}

// secretHost is a host with a secret in every place, on which programs write down what they are
// given.
type secretHost struct {
	*faultHost
	secretFiles []string
	given       string // file with the arguments and environment of each program and each epmd
}

func newSecretHost(t *testing.T) *secretHost {
	h := &secretHost{faultHost: newFaultHost(t)}
	h.given = filepath.Join(h.dir, "given")
	h.secretFiles = []string{filepath.Join(h.home, ".erlang.cookie"), h.file("cookie", inFile, 0o400)}
	h.must(os.WriteFile(h.secretFiles[0], []byte(inUserFile), 0o400))
	h.env = []string{"MY_COOKIE=" + inEnv, "BEAMRUN_SECRET=" + inSecret, "RELEASE_COOKIE=" + inRelease, "ERL_ZFLAGS=-setcookie " + inFlags}
	return h
}

// recorder is a program that writes down what it is given, under a title, and goes on with the rest
// of the script.
func (h *secretHost) recorder(title, rest string) string {
	h.Helper()
	return h.file(title, fmt.Sprintf("#!/bin/sh\n{ echo %[1]s; tr '\\0' '\\n' </proc/$$/cmdline; echo %[1]s-environment; env; echo; } >>'%[2]s'\n%[3]s\n",
		title, h.given, rest), 0o755)
}

// commands are all of beamrun's, rightly called and wrongly.
func (h *secretHost) commands() [][]string {
	h.Helper()
	program, file := h.recorder("program", ""), "file:"+h.secretFiles[1]
	commands := [][]string{
		{"ensure"}, {"names"}, {"names", "x"}, {"doctor"}, {"repair", "x"}, {"--cookie", file, "repair"}, {"--cookie", "env:NONE", "repair", "x"}, {"stop"}, {"version"}, {"help"}, {"cookie"}, {"cookie", "path"}, {"cookie", "check"},
		{"--cookie", file, "cookie"}, {"--cookie", "file:" + h.dir, "cookie"}, {"--cookie", "env:MY_COOKIE", "cookie"},
		{"cookie", typed}, {"cookie", "check", typed}, {"--cookie", typed, "ensure"}, {"--cookie=" + typed, program}, {"--cookie", "cookie:" + typed, program},
		{"--cookie", "env:MY_COOKIE", "no-such-program"}, {"--cookie", file, h.dir}, {program, "-setcookie", typed}, {"--local", "--address", "::1", program},
		{"--epmdless", "--peers", h.secretFiles[0], program}, {"--peers", h.secretFiles[1], "names"}, {"--epmdless", "--peer", typed, program},
		{"--timeout", typed, "ensure"}, {"--dist-port", typed, program},
		{"--cookie", "env:NONE", program}, {"--cookie", "file:" + h.dir, program}, {program},
	}
	for _, source := range []string{"user", "fresh", file, "env:MY_COOKIE", "derive:x"} {
		commands = append(commands, []string{"--cookie", source, program})
	}
	return commands
}

// find reports the words that are in a text.
func (h *secretHost) find(where, text string, words ...string) {
	h.Helper()
	for _, w := range words {
		if strings.Contains(text, w) {
			h.Errorf("%s: %s in %.2000s", where, w, text)
		}
	}
}

// No secret that beamrun is given comes out anywhere but in the program's own environment, whatever
// goes wrong.
func TestSecrets(t *testing.T) {
	testenv.Need(t, "epmd")
	derived, err := cookie.Derive([]byte(inSecret), "x")
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(text string, mode fs.FileMode) func(h *secretHost) {
		return func(h *secretHost) {
			for _, file := range h.secretFiles {
				h.must(errors.Join(os.Remove(file), os.WriteFile(file, []byte(text), mode), os.Chmod(file, mode)))
			}
		}
	}
	stop := watchArgs()
	t.Run("with", func(t *testing.T) { // ends when all of them have
		for name, fault := range map[string]func(h *secretHost){
			"no fault": func(h *secretHost) {},
			"no cookie from outside": func(h *secretHost) { // so that beamrun's own is used
				h.env = append(h.env, "RELEASE_COOKIE=", "ERL_ZFLAGS=")
			},
			"an epmd that says all it knows": func(h *secretHost) {
				h.args = []string{"--epmd", h.recorder("talker", "tr '\\0' ' ' </proc/$$/cmdline >&2; env >&2; exit 1")}
			},
			"a silent one": func(h *secretHost) {
				epmdtest.Listen(h.T, h.addr(), epmdtest.Silent)
				h.args = []string{"--timeout=100ms"}
			},
			"another program":          func(h *secretHost) { epmdtest.Listen(h.T, h.addr(), epmdtest.Garbage) },
			"none":                     func(h *secretHost) { h.args = []string{"--epmd", "/none"} },
			"no home":                  func(h *secretHost) { h.env = append(h.env, "HOME=", "TMPDIR=/none") },
			"a bad port":               func(h *secretHost) { h.env = append(h.env, "ERL_EPMD_PORT=x") },
			"a file for all to read":   spoil(inUserFile+inFile, 0o644),
			"two lines":                spoil(inUserFile+"\n"+inFile, 0o400),
			"a NUL":                    spoil(inUserFile+"\x00"+inFile, 0o400),
			"too long a cookie":        spoil(strings.Repeat(inUserFile+inFile, 20), 0o400),
			"bad cookies in variables": func(h *secretHost) { h.env = append(h.env, "MY_COOKIE="+inEnv+"\t", "BEAMRUN_SECRET=") },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h := newSecretHost(t)
				record := h.recorder("epmd", `exec epmd "$@"`)
				h.args = []string{"--epmd", record}
				fault(h)
				h.run(derived)
			})
		}
	})
	seen := stop()
	t.Logf("the arguments of %d processes", len(seen))
	if n := seen.of(append(stored, derived)...); n != 0 {
		t.Errorf("a secret stood in the arguments of %d processes", n)
	}
	if seen.of(typed) == 0 || seen.of("env:MY_COOKIE") == 0 {
		t.Error("nothing was watched")
	}
}

// run runs every command with each of the flags that change what is said.
func (h *secretHost) run(derived string) {
	h.Helper()
	secrets := append([]string{typed, derived}, stored...)
	beamrun, err := h.beamrun()
	h.must(err)
	codes := map[int]int{}
	for _, command := range h.commands() {
		for _, flag := range []string{"-v", "--json", "--local"} {
			cmd := h.wrap(beamrun, append(append([]string{flag}, h.args...), command...)...)
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				h.Fatal(err)
			}
			codes[cmd.ProcessState.ExitCode()]++
			h.find(fmt.Sprintf("output of %s %q", flag, command), string(out), secrets...)
		}
		if pid := testenv.PID(h.port); pid != 0 && pid != os.Getpid() {
			for _, file := range []string{"environ", "cmdline"} {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
				h.must(err)
				h.find("epmd's "+file, string(text), secrets...)
			}
		}
		if pid := testenv.PID(h.port); pid != os.Getpid() && slices.Contains(command, "ensure") {
			testenv.Kill(h, h.port) // so that it is started by the next command too
		}
	}
	h.Logf("exit codes: %v", codes)

	given, _ := os.ReadFile(h.given)
	for _, run := range strings.Split(string(given), "\n\n") {
		title, _, _ := strings.Cut(run, "\n")
		args, env, _ := strings.Cut(run, title+"-environment\n")
		if title != "program" {
			h.find(title+" is given", run, secrets...)
			continue
		}
		h.find("the program's arguments", args, append(stored, derived)...)
		h.find("the program's environment", env, inSecret, cookie.SecretVar)
		if _, own, ok := strings.Cut(env, "BEAMRUN_COOKIE="); ok { // a fresh one too
			own, _, _ = strings.Cut(own, "\n")
			secrets = append(secrets, own)
			h.find("the program's arguments", args, own)
		}
	}
	if strings.Contains(string(given), "program\n") && !strings.Contains(string(given), "MY_COOKIE="+inEnv) {
		h.Errorf("nothing was written down: %s", given)
	}

	err = filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path == h.given || slices.Contains(h.secretFiles, path) {
			return err
		}
		text, err := os.ReadFile(path)
		h.find(path, string(text), secrets...)
		return err
	})
	h.must(err)
}

// Errors in Go hold no secret either, however they are printed, nor do those that they wrap.
func TestSecretsInErrors(t *testing.T) {
	h := newSecretHost(t)
	for _, v := range append(h.env, "HOME="+h.home, "TMPDIR="+h.home, "XDG_RUNTIME_DIR=", "XDG_CACHE_HOME=") {
		key, value, _ := strings.Cut(v, "=")
		t.Setenv(key, value)
	}
	secrets := append([]string{typed}, stored...)
	count := 0
	var check func(what string, err error)
	check = func(what string, err error) {
		if err == nil {
			return
		}
		count++
		for _, form := range []string{"%v", "%+v", "%#v", "%q"} {
			h.find(what+" as "+form, fmt.Sprintf(form, err), secrets...)
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			check(what, e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				check(what, err)
			}
		}
	}
	must := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		check(what, err)
	}

	config := ensure.Config{Port: h.port, Program: h.recorder("talker", "env >&2; exit 1")}
	epmd := func(kind ensure.Kind, c ensure.Config) {
		t.Helper()
		_, err := ensure.Epmd(t.Context(), c)
		if e := new(ensure.Error); !errors.As(err, &e) || e.Kind != kind {
			t.Errorf("%v, want one of the kind %s", err, kind)
		}
		must(string(kind), err)
	}
	epmd(ensure.KindSpawn, config)
	_, err := ensure.Probe(t.Context(), config)
	must("down", err)
	epmd(ensure.KindConfig, ensure.Config{Addresses: []netip.Addr{{}}})
	epmd(ensure.KindNotFound, ensure.Config{Port: h.port, Program: "/none"})
	epmd(ensure.KindTimeout, ensure.Config{Port: h.port, Timeout: 100 * time.Millisecond, Program: h.recorder("sleeper", "exec sleep 60")})
	server := epmdtest.Listen(t, h.addr(), epmdtest.Garbage)
	epmd(ensure.KindForeign, config)
	server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = ensure.Epmd(ctx, config)
	must("canceled", err)

	for _, program := range []string{"no-such-program", "/none", h.dir, h.file("text", "no program", 0o600), h.file("bad", "\x00\x00", 0o700)} {
		c := launcher.Config{Program: program, Args: []string{"x"}, Cookie: inEnv}
		_, err := launcher.Run(t.Context(), c, launcher.Child{})
		must("Run", err)
		must("Exec", launcher.Exec(c))
	}

	bad := filepath.Join(h.dir, "bad cookie")
	for _, text := range []string{inFile + "\x00", inFile + "\n" + inFile, strings.Repeat(inFile, 30), "\xff" + inFile} {
		h.must(errors.Join(os.RemoveAll(bad), os.WriteFile(bad, []byte(text), 0o400)))
		_, err := cookie.Load(bad)
		must("Load", err)
		_, err = cookie.LoadOrCreate(bad)
		must("LoadOrCreate", err)
		must("Check", cookie.Check(text))
		t.Setenv("MY_COOKIE", strings.ReplaceAll(text, "\x00", "\x01"))
		_, err = cookie.Source("env:MY_COOKIE").Cookie()
		must("a source", err)
	}
	must("UnmarshalText", new(cookie.Source).UnmarshalText([]byte(typed)))
	_, err = cookie.Source(typed).Cookie()
	must("Cookie", err)
	_, err = cookie.Source(typed).Path()
	must("Path", err)
	_, err = cookie.Derive([]byte(inSecret), "")
	must("Derive", err)
	must("Rotate", cookie.Rotate(filepath.Join(bad, "x")))

	a := &app{stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}
	for _, args := range [][]string{{"--cookie", typed}, {"--cookie=" + typed}, {"--port", "x", "--cookie", typed}} {
		_, _, err := a.parse(args)
		must("the command line", err)
	}
	t.Logf("%d errors", count)
	h.killProcesses()
}
