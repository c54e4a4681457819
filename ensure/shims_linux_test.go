package ensure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/epmdtest"
)

// Where nothing else has an epmd, the erl on PATH is asked: here a script around the real one.
func TestAskErl(t *testing.T) {
	epmdtest.Need(t, "erl", "epmd")
	real, err := exec.LookPath("erl")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BINDIR", "")
	t.Setenv("HOME", t.TempDir())
	if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".erlang"), []byte(`io:format("hello").`), 0o600); err != nil {
		t.Fatal(err)
	}
	port := epmdtest.Port(t)
	t.Setenv("ERL_EPMD_PORT", fmt.Sprint(port))
	t.Setenv("ERL_FLAGS", "-sname asked")
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Chdir(t.TempDir())
	erl := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "erl"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	find := func() (string, *Error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return findIn(ctx, []func() []string{func() []string { return []string{"/nowhere"} }})
	}

	erl(`[ -e '` + dir + `/here' ] || { echo "No version is set for command erl" >&2; exit 126; }; exec '` + real + `' "$@"`)
	_, ferr := find()
	want := "no epmd program in /nowhere, nor in the other usual directories of Erlang; " + dir + "/erl was asked where its own is: " +
		"exit status 126: No version is set for command erl"
	if ferr == nil || ferr.Kind != KindNotFound || ferr.Err.Error() != want || !strings.Contains(ferr.Hint, "works here") {
		t.Errorf("%v, %q; want %s", ferr, ferr.Hint, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "here"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	program, ferr := find()
	if ferr != nil || filepath.Base(filepath.Dir(filepath.Dir(program)))[:5] != "erts-" {
		t.Fatalf("found %s, %v", program, ferr)
	}
	if pid := epmdtest.PID(port); pid != 0 {
		t.Errorf("to ask started an epmd, pid %d", pid)
	}
	res, err := Epmd(t.Context(), Config{Port: port, Program: program})
	if err != nil || !res.Started {
		t.Errorf("%+v, %v", res, err)
	}

	erl("echo")
	if _, err := find(); err == nil || err.Kind != KindNotFound || !strings.HasSuffix(err.Err.Error(), `: it said ""`) {
		t.Error(err)
	}
	erl("printf /empty")
	if _, err := find(); err == nil || err.Kind != KindNotFound || !strings.HasSuffix(err.Err.Error(), ": it has none in /empty") {
		t.Error(err)
	}

	// one that hangs, and waits for a program of its own, is ended with it
	erl("sleep 61 & echo $! >'" + dir + "/pid'; wait")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, ferr = findIn(ctx, nil)
	if ferr == nil || ferr.Kind != KindTimeout || !errors.Is(ferr, context.DeadlineExceeded) || time.Since(begin) > 5*time.Second ||
		!strings.Contains(ferr.Err.Error(), dir+"/erl was asked") {
		t.Errorf("%v after %v", ferr, time.Since(begin))
	}
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("what the erl waits for lives")
		}
	}

	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := findIn(ctx, nil); err == nil || err.Kind != KindCanceled {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, "erl")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if _, err := find(); err == nil || err.Kind != KindNotFound || !strings.HasPrefix(err.Hint, "install Erlang") {
		t.Error(err)
	}
}

// Attack H3: to ask an erl for its root ran inet_config.beam out of the current directory, as root. Neither that nor a variable makes it run
// code of somebody else's.
func TestAskErlRunsNothingElse(t *testing.T) {
	epmdtest.Need(t, "erl", "erlc")
	erl, err := exec.LookPath("erl")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	marker := filepath.Join(dir, "marker")
	trap := fmt.Sprintf("-module(inet_config).\n-compile(export_all).\n-on_load(trap/0).\ntrap() -> prim_file:write_file(%q, <<>>).\ninit() -> ok.\n", marker)
	lib := filepath.Join(dir, "trap", "ebin")
	err = errors.Join(os.MkdirAll(lib, 0o755), os.WriteFile(filepath.Join(dir, "inet_config.erl"), []byte(trap), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if out, err := exec.Command("erlc", "inet_config.erl").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// erl itself does run it
	exec.CommandContext(ctx, erl, "-noinput", "-eval", "halt().").Run()
	if err := os.Remove(marker); err != nil {
		t.Fatalf("the trap does not work: %v", err)
	}
	for _, v := range []string{"ERL_LIBS=" + dir, "ERL_FLAGS=-pa " + dir, "ERL_INETRC=" + marker, "ERL_COMPILER_OPTIONS=trap", "ERL_ZFLAGS=-pa ."} {
		key, value, _ := strings.Cut(v, "=")
		t.Setenv(key, value)
	}
	for _, v := range withoutErl(os.Environ()) { // root gets even less
		if strings.HasPrefix(v, "ERL_") || strings.HasPrefix(v, "BINDIR=") {
			t.Errorf("erl gets %s", v)
		}
	}
	if got, err := askErl(ctx, erl); err != nil || !filepath.IsAbs(got) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("code of the current directory was run")
	}
}

// A folder of shims is passed over for what they stand for; an epmd that is a script elsewhere is the user's wish.
func TestFindBehindShims(t *testing.T) {
	epmdtest.Need(t, "epmd", "sh")
	real, err := exec.LookPath("epmd")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	counting, starts := epmdtest.Counting(t)
	data := t.TempDir()
	at := func(path string) string { return filepath.Join(data, path) }
	err = errors.Join(os.MkdirAll(at("shims"), 0o755), os.MkdirAll(at("installs/erlang/27.1/erts-15.1/bin"), 0o755),
		os.WriteFile(at("shims/epmd"), []byte("#!/bin/sh\necho no version is set >&2; exit 126\n"), 0o755),
		os.Symlink("epmd", at("shims/erl")))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"BINDIR", "ROOTDIR", "RELEASE_ROOT"} {
		t.Setenv(key, "")
	}
	t.Setenv("PATH", at("shims")+":"+filepath.Dir(counting)+":"+os.Getenv("PATH"))
	if got, err := (Config{}).find(t.Context()); err != nil || got != counting {
		t.Errorf("found %s, %v; want %s", got, err, counting)
	}
	res, err := Epmd(t.Context(), Config{Port: epmdtest.Port(t)})
	if err != nil || res.Program != counting || starts() != 1 {
		t.Errorf("%+v, %v, %d starts", res, err, starts())
	}

	installed := at("installs/erlang/27.1/erts-15.1/bin/epmd")
	if err := os.Symlink(real, installed); err != nil {
		t.Fatal(err)
	}
	port := epmdtest.Port(t)
	res, err = Epmd(t.Context(), Config{Port: port})
	if err != nil || res.Program != installed {
		t.Errorf("%+v, %v; want %s", res, err, installed)
	}
	if _, err := epmd.Names(t.Context(), fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
		t.Error(err)
	}
}
