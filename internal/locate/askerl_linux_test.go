package locate

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

	"github.com/beamrun/beamrun/internal/testenv"
)

// Where nothing else has an epmd, the erl on PATH is asked: here a script around the real one.
func TestAskErl(t *testing.T) {
	testenv.Need(t, "erl", "epmd")
	real, err := exec.LookPath("erl")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BINDIR", "")
	t.Setenv("HOME", t.TempDir())
	if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".erlang"), []byte(`io:format("hello").`), 0o600); err != nil {
		t.Fatal(err)
	}
	port := testenv.Port(t)
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
		path, err := findIn(ctx, []func() []string{func() []string { return []string{"/nowhere"} }})
		e := new(Error)
		errors.As(err, &e)
		return path, e
	}

	erl(`[ -e '` + dir + `/here' ] || { echo "No version is set for command erl" >&2; exit 126; }; exec '` + real + `' "$@"`)
	_, ferr := find()
	want := "no epmd program in /nowhere, nor in the other usual directories of Erlang; " + dir + "/erl was asked where its own is: " +
		"exit status 126: No version is set for command erl"
	if !ferr.Missing || ferr.Err.Error() != want || !strings.Contains(ferr.Hint, "works here") {
		t.Errorf("%v, %q; want %s", ferr, ferr.Hint, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "here"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	program, ferr := find()
	if ferr.Err != nil || filepath.Base(filepath.Dir(filepath.Dir(program)))[:5] != "erts-" {
		t.Fatalf("found %s, %v", program, ferr)
	}
	if pid := testenv.PID(port); pid != 0 {
		t.Errorf("to ask started an epmd, pid %d", pid)
	}
	if out, _ := exec.Command(program, "-names").CombinedOutput(); !strings.Contains(string(out), "epmd: ") {
		t.Errorf("%s is no epmd: %s", program, out)
	}

	erl("echo")
	if _, err := find(); !err.Missing || !strings.HasSuffix(err.Err.Error(), `: it said ""`) {
		t.Error(err)
	}
	erl("printf /empty")
	if _, err := find(); !err.Missing || !strings.HasSuffix(err.Err.Error(), ": it has none in /empty") {
		t.Error(err)
	}

	// one that hangs, and waits for a program of its own, is ended with it
	erl("sleep 61 & echo $! >'" + dir + "/pid'; wait")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err = findIn(ctx, nil)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 5*time.Second ||
		!strings.Contains(err.Error(), dir+"/erl was asked") {
		t.Errorf("%v after %v", err, time.Since(begin))
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
	if _, err := findIn(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, "erl")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if _, err := find(); !err.Missing || !strings.HasPrefix(err.Hint, "install Erlang") {
		t.Error(err)
	}
}

// Attack H3: to ask an erl for its root ran inet_config.beam out of the current directory, as root.
// Neither that nor a variable makes it run code of somebody else's.
func TestAskErlRunsNothingElse(t *testing.T) {
	testenv.Need(t, "erl", "erlc")
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
