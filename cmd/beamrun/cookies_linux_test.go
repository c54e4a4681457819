package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/internal/testenv"
)

// What a node prints: its cookie, the one that it was handed in its environment, and what else
// there is.
const (
	inErlang = `P=fun(R)->io:format("cookie=~s given=~s ~p.",[erlang:get_cookie(),os:getenv("BEAMRUN_COOKIE",""),R]),halt()end,`
	inElixir = `IO.write "cookie=#{Node.get_cookie} given=#{System.get_env("BEAMRUN_COOKIE")} ok."; System.halt()`
	inMix    = `:TAG; IO.write "cookie=#{Node.get_cookie} given=#{System.get_env("BEAMRUN_COOKIE")} #{System.user_home} #{Mix.Utils.mix_home}."; System.halt()`
)

// child has a node start another one, and print that one's cookie, or none when they do not
// connect. A version of OTP without the module has no such children.
func child(module, start, ask string) []string {
	return []string{"erl", "-noinput", "-sname", "TAG", "-eval", fmt.Sprintf(inErlang+`S=self(),code:which(%s)=:=non_existing andalso P(missing),`+
		`spawn(fun()->S!(catch %s)end),P(receive X->try %s catch _:_->none end after WAIT->none end).`, module, start, ask)}
}

// Which cookie a node has.
const (
	itsSources = "its source's"
	theUsers   = "the user's"
	noName     = "none, for it has no name"
	inShell    = "that of the other node"
)

// cookiePrograms are run with every source. TAG is the node's name, TARGET a node that runs
// already.
var cookiePrograms = []struct {
	name, has string
	args      []string
}{
	{"erl -sname", itsSources, []string{"erl", "-noinput", "-sname", "TAG", "-eval", inErlang + "P(ok)."}},
	{"iex --sname", itsSources, []string{"iex", "--sname", "TAG", "-e", inElixir}},
	{"elixir --sname", itsSources, []string{"elixir", "--sname", "TAG", "-e", inElixir}},
	{"elixir -S mix run", itsSources, []string{"elixir", "--sname", "TAG", "-S", "mix", "run", "--no-mix-exs", "-e", inMix}},
	{"iex -S mix run", itsSources, []string{"iex", "--sname", "TAG", "-S", "mix", "run", "--no-mix-exs", "-e", inMix}},
	{"mix run", noName, []string{"mix", "run", "--no-mix-exs", "-e", inMix}},
	{"rebar3 shell", theUsers, []string{"rebar3", "shell", "--sname", "TAG", "--script", "print"}},
	{"Node.start", theUsers, []string{"elixir", "-e", `{:ok, _} = Node.start(:TAG, :shortnames); ` + inElixir}},
	{"slave", itsSources, child("slave", `slave:start(list_to_atom(tl(string:find(atom_to_list(node()),"@"))),child_TAG)`,
		`rpc:call(element(2,X),erlang,get_cookie,[])`)},
	{"peer", itsSources, child("peer", `peer:start(#{name=>child_TAG})`, `rpc:call(element(3,X),erlang,get_cookie,[])`)},
	{"peer on pipes", itsSources, child("peer", `peer:start(#{name=>child_TAG,connection=>standard_io})`,
		`peer:call(element(2,X),erlang,get_cookie,[])`)},
	{"erl -remsh", inShell, []string{"erl", "-sname", "TAG", "-remsh", "TARGET"}},
	{"iex --remsh", inShell, []string{"iex", "--sname", "TAG", "--remsh", "TARGET"}},
}

// ofUser is the cookie of the user's file.
const ofUser = "Ck7ofuser"

// cookieCell is one program with one source.
type cookieCell struct {
	source, want  string // want is empty where nobody can know it before
	program, tag  string
	args          []string
	has           string   // is to have
	cookie, given string   // what the node had, and was handed in its environment
	rest          string   // of what it said
	shells        []string // the cookies in the files of the remote shells
}

// all is whether the long tests do all that they can, see BEAMRUN_ALL in README.md.
var all = os.Getenv("BEAMRUN_ALL") != ""

// No cookie of any source stands in an argument list, whatever the program does: under a watch over
// all processes.
func TestCookieSecrecy(t *testing.T) {
	testenv.Need(t, "mix", "escript")
	file := filepath.Join(t.TempDir(), "c")
	if err := os.WriteFile(file, []byte("Ck7infile"), 0o400); err != nil {
		t.Fatal(err)
	}
	derived, err := cookie.Derive([]byte("secret"), "table")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("MY_COOKIE", "Ck7inenv")
	t.Setenv("BEAMRUN_SECRET", "secret")
	var cells []*cookieCell
	stop := watchArgs()
	t.Run("each", func(t *testing.T) { // ends when all of them have
		sources := []struct{ source, want string }{
			{"user", ofUser}, {"fresh", ""}, {"file:" + file, "Ck7infile"}, {"env:MY_COOKIE", "Ck7inenv"}, {"derive:table", derived}}
		for nth, s := range sources {
			source, want := s.source, s.want
			kind, _, _ := strings.Cut(source, ":")
			h, other := newHost(t), &host{t, t.TempDir(), 0} // where the remote shells go
			other.port = h.port
			h.setCookie(ofUser)
			other.setCookie(cmp.Or(want, "another"))
			h.run("beamrun", "ensure")
			h.node("other_"+kind, other.lasting("elixir", "--sname", "other_"+kind, "--no-halt"))
			for i, p := range cookiePrograms {
				if !all && (i+nth)%len(sources) != 0 {
					continue // each program with one source
				}
				c := &cookieCell{source: source, want: want, program: p.name, has: p.has, tag: fmt.Sprintf("tag%d_%s", i, kind)}
				wait := "1500" // in vain
				if source == "user" {
					wait = "20000"
				}
				names := strings.NewReplacer("TAG", c.tag, "TARGET", "other_"+kind+"@"+shortHostname(), "WAIT", wait)
				for _, arg := range p.args {
					c.args = append(c.args, names.Replace(arg))
				}
				cells = append(cells, c)
				t.Run(kind+" "+p.name, func(t *testing.T) {
					t.Parallel()
					testenv.Need(t, c.args[0])
					c.run(&host{t, h.home, h.port})
				})
			}
		}
		t.Run("control", func(t *testing.T) {
			t.Parallel()
			newHost(t).run("erl", "-noinput", "-sname", "x", "-setcookie", "Ck7shown", "-eval", "halt().")
		})
	})
	seen := stop()
	secrets := []string{ofUser, "Ck7infile", "Ck7inenv", derived}
	for _, c := range cells {
		secrets = append(secrets, c.shells...)
		if c.given != "" {
			secrets = append(secrets, c.given)
		}
	}
	t.Logf("%-6s  %-18s %6s %9s %9s  cookie", "source", "program", "reads", "processes", "sightings")
	for _, c := range cells {
		if c.cookie == "" { // it failed, and said so
			continue
		}
		its := seen.with(c.tag)
		kind, _, _ := strings.Cut(c.source, ":")
		t.Logf("%-6s  %-18s %6d %9d %9d  %s", kind, c.program, its.reads(), len(its), its.of(secrets...), c.had())
		if its.of("\x00-progname\x00") == 0 { // of every VM; its name may be escript's
			t.Errorf("%s with %s: its node was not seen", c.program, c.source)
		}
	}
	t.Logf("%d reads of the arguments of %d processes", seen.reads(), len(seen))
	for pid, one := range seen.with(secrets...) {
		t.Errorf("a cookie stood in an argument list: process %s, %q", pid, one.args)
	}
	if seen.of("Ck7shown") == 0 {
		t.Error("the cookie that stood in an argument list was not seen")
	}
}

// run runs the program until its node has said what it has, or its shell is there.
func (c *cookieCell) run(h *host) {
	h.t.Helper()
	args := append([]string{"--cookie", c.source}, c.args...)
	if c.has == inShell {
		opened, screen := h.opensShell("other_", args...)
		if opened == (c.source == "fresh") { // no other node has that one
			h.t.Errorf("%q: a shell is there: %t\n%s", args, opened, screen)
		}
		c.cookie = fmt.Sprintf("let it into the other node: %t", opened)
		files, _ := filepath.Glob(filepath.Join(h.home, ".cache/beamrun/remsh-*/.erlang.cookie"))
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && len(text) > 0 {
				c.shells = append(c.shells, string(text))
			}
		}
		if len(c.shells) == 0 && c.source != "user" {
			h.t.Errorf("%q: no file has its cookie", args)
		}
		return
	}
	cmd := h.command("beamrun", args...)
	cmd.Dir = h.t.TempDir()
	// into a file, and in haste, for rebar3 is about to put another shell in place
	script := `#!/usr/bin/env escript
main(_) -> file:write_file("said", io_lib:format("cookie=~s given=~s ok.", [erlang:get_cookie(), os:getenv("BEAMRUN_COOKIE", "")])),
	halt(0, [{flush, false}]).
`
	if err := os.WriteFile(filepath.Join(cmd.Dir, "print"), []byte(script), 0o600); err != nil {
		h.t.Fatal(err)
	}
	var out bytes.Buffer
	var err error
	if c.args[0] == "rebar3" { // whose shell may hang on a pipe
		term, startErr := pty.Start(cmd)
		if startErr != nil {
			h.t.Fatal(startErr)
		}
		defer term.Close()
		io.Copy(&out, term) // to its end
		err = cmd.Wait()
	} else {
		cmd.Stdout, cmd.Stderr = &out, &out
		err = cmd.Run()
	}
	if text, err := os.ReadFile(filepath.Join(cmd.Dir, "said")); err == nil {
		out.Write(text)
	}
	said := regexp.MustCompile(`cookie=(\S*) given=(\S*) (.*)\.`).FindStringSubmatch(out.String())
	if err != nil || said == nil {
		h.t.Fatalf("%q: %v\n%s", args, err, &out)
	}
	c.cookie, c.given, c.rest = said[1], said[2], strings.Trim(said[3], "'")
	has := c.has
	if c.source == "user" && has == itsSources {
		has = theUsers
	}
	if had, _, _ := strings.Cut(c.had(), ";"); had != has || (c.given == "") != (c.source == "user") {
		h.t.Errorf("%q: it has %s, want %s\n%s", args, had, has, &out)
	}
	if strings.HasPrefix(c.rest, "/") && c.rest != h.home+" "+h.home+"/.mix" {
		h.t.Errorf("%q: home and mix's home are %s, want those of %s", args, c.rest, h.home)
	}
	// one that boots with the user's cookie is let in by one that has it
	if c.source == "user" && c.rest != "ok" && c.rest != "missing" && c.rest != ofUser && c.rest[0] != '/' {
		h.t.Errorf("%q: its child has %s", args, c.rest)
	}
}

// had says which cookie the node had, and its child.
func (c *cookieCell) had() string {
	which := map[string]string{"nocookie": noName}
	if its := cmp.Or(c.want, c.given); its != "" {
		which[its] = itsSources
	}
	which[ofUser] = theUsers // the source user, too
	had := cmp.Or(which[c.cookie], c.cookie)
	switch {
	case c.rest == "missing":
		return had + "; this OTP has no such children"
	case c.rest == "none":
		return had + "; no child in time"
	case which[c.rest] != "":
		return had + "; its child " + which[c.rest]
	}
	return had
}

func (h *host) setCookie(c string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.home, ".erlang.cookie"), []byte(c), 0o400); err != nil {
		h.t.Fatal(err)
	}
}

func shortHostname() string {
	name, _ := os.Hostname()
	name, _, _ = strings.Cut(name, ".")
	return name
}

// opensShell runs beamrun on a terminal until a remote shell's prompt is there, or it is clear that
// none will be.
func (h *host) opensShell(node string, args ...string) (opened bool, screen string) {
	h.t.Helper()
	cmd := h.command("beamrun", args...)
	term := onTerminal(h.t, cmd)
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	prompt := regexp.MustCompile(`\(` + node + `[^)]*\)\d+>`)
	failed := regexp.MustCompile(`(?i)terminated!|could not|nodedown`)
	for timeout := time.After(20 * time.Second); ; {
		select {
		case s, ok := <-term.output:
			screen += s
			if prompt.MatchString(screen) {
				return true, screen
			}
			if !ok || failed.MatchString(screen) {
				return false, screen
			}
		case <-timeout:
			return false, screen
		}
	}
}

// Twenty shells in another node, one after the other, each at the first try.
func TestRemoteShells(t *testing.T) {
	h := newHost(t)
	other := &host{t, t.TempDir(), h.port}
	h.setCookie(ofUser)
	other.setCookie("Ck7ofother")
	h.run("beamrun", "ensure")
	h.node("other", other.command("elixir", "--sname", "other", "--no-halt"))
	file := filepath.Join(other.home, ".erlang.cookie")
	for i := range 20 {
		name, node := fmt.Sprint("me", i), "other@"+shortHostname()
		args := []string{"--cookie", "file:" + file, "erl", "-sname", name, "-remsh", node}
		if i%2 == 1 {
			args = []string{"--cookie", "file:" + file, "iex", "--sname", name, "--remsh", node}
		}
		if opened, screen := h.opensShell("other", args...); !opened {
			t.Errorf("%q:\n%s", args, screen)
		}
	}
	if homes, _ := filepath.Glob(filepath.Join(h.home, ".cache/beamrun/remsh-*")); len(homes) != 1 {
		t.Errorf("the same cookie has the folders %q", homes)
	}
}

// The node of a remote shell has its cookie, but all else of the real home: of any name.
func TestRemoteShellsHome(t *testing.T) {
	h := newHost(t)
	h.home = filepath.Join(h.home, `it's "a"\ home`)
	if err := os.Mkdir(h.home, 0o700); err != nil {
		t.Fatal(err)
	}
	h.setCookie(ofUser)
	if err := os.WriteFile(filepath.Join(h.home, ".erlang"), []byte(`os:putenv("DOT_ERLANG", "was read").`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MY_COOKIE", "Ck7inenv")
	erlang := `io:format("~s~n~s~n~s~n", [erlang:get_cookie(), os:getenv("DOT_ERLANG"), os:getenv("HOME")]), halt().`
	out := h.run("beamrun", "--cookie", "env:MY_COOKIE", "erl", "-noinput", "-sname", "me", "-remsh", "nowhere@localhost", "-eval", erlang)
	if want := "Ck7inenv\nwas read\n" + h.home + "\n"; out != want {
		t.Errorf("%q, want %q", out, want)
	}
}

// What the program has in its environment is its user's and root's to read, and nobody else's.
func TestEnvironmentIsPrivate(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.Skip(t, "only root can be another user")
	}
	h := newHost(t)
	t.Setenv("MY_COOKIE", "Ck7inenv")
	cmd := h.command("beamrun", "--cookie", "env:MY_COOKIE", "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	path := "/proc/" + strconv.Itoa(cmd.Process.Pid)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if name, _ := os.ReadFile(path + "/comm"); string(name) == "sleep\n" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("it is still %s", name)
		}
	}
	as := func(uid uint32, file string) string {
		cmd := exec.CommandContext(t.Context(), "cat", path+"/"+file)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, _ := cmd.Output()
		return string(out)
	}
	if own := as(0, "environ"); !strings.Contains(own, "BEAMRUN_COOKIE=Ck7inenv\x00") {
		t.Errorf("for its own user: %q", own)
	}
	if args := as(54321, "cmdline"); args != "sleep\x0060\x00" {
		t.Errorf("the arguments are for all, but: %q", args)
	}
	if others := as(54321, "environ"); others != "" {
		t.Errorf("another user read %d bytes of the environment", len(others))
	}
}

// What an environment has already is kept, and a program's own cookie wins.
func TestGivenCookies(t *testing.T) {
	h := newHost(t)
	t.Setenv("MY_COOKIE", "Ck7inenv")
	t.Setenv("ERL_AFLAGS", "+S 1")
	// another erl that the node starts needs no cookie of ours to boot
	erlang := `[] = os:cmd("erl -noinput -eval 'halt().'"), io:format("~s ~p", [erlang:get_cookie(), erlang:system_info(schedulers)]), halt().`
	vmArgs := filepath.Join(t.TempDir(), "vm.args")
	if err := os.WriteFile(vmArgs, []byte("-sname x\n-setcookie inside\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, program := range map[string][]string{
		"Ck7inenv 1": {"erl", "-noinput", "-sname", "x", "-eval", erlang},
		"nocookie 1": {"erl", "-noinput", "-eval", erlang}, // a node without a name boots too
		"mine":       {"elixir", "--sname", "x", "--cookie", "mine", "-e", "IO.write Node.get_cookie()"},
		"inside 1":   {"erl", "-noinput", "-args_file", vmArgs, "-eval", erlang}, // seen only inside: as in a release
	} {
		if out := h.run("beamrun", append([]string{"--cookie", "env:MY_COOKIE"}, program...)...); out != want {
			t.Errorf("%q: %q, want %q", program, out, want)
		}
	}
}
