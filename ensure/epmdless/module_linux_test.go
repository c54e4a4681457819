package epmdless

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/testenv"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// Files of every kind in the directory: the module, in a real Erlang, and this package find the same
// nodes, leave the same files, and nothing else happens.
func TestPlantedFiles(t *testing.T) {
	testenv.Need(t, "erl")
	for who, look := range map[string]func(t *testing.T, folder string) []string{
		"package": func(t *testing.T, _ string) []string {
			nodes, _, err := Nodes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, n := range nodes {
				names = append(names, n.Name)
			}
			return names
		},
		"module": askModule,
	} {
		t.Run(who, func(t *testing.T) {
			folder := alone(t)
			outside := plant(t, folder)
			got := look(t, folder)
			slices.Sort(got)
			if want := []string{"elsewhere", "here", "self"}; !slices.Equal(got, want) {
				t.Errorf("nodes: %q, want %q", got, want)
			}
			entries, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			var left []string
			for _, e := range entries {
				left = append(left, strings.TrimRight(e.Name(), "0123456789"))
			}
			want := []string{"an entry without a dot", "dir.", "elsewhere.", "here.", "link.", "pipe.", "self.", "young."}
			if os.Getuid() == 0 {
				want = append(want, "someone.")
			}
			slices.Sort(want)
			if slices.Sort(left); !slices.Equal(left, want) {
				t.Errorf("left: %q, want %q", left, want)
			}
			if text, err := os.ReadFile(outside); string(text) != "outside" || err != nil {
				t.Errorf("outside the folder: %q, %v", text, err)
			}
		})
	}
}

// plant fills the directory.
func plant(t *testing.T, folder string) (outside string) {
	t.Helper()
	boot, space := here()
	if boot == unknown {
		t.Fatal("this /proc says nothing")
	}
	me := os.Getpid()
	birth := owner.Process{PID: me}.Birth()
	open, refused := listen(t), closed(t)
	put := func(name, text string, age time.Duration) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		os.Chtimes(path, at, at)
		return path
	}
	line := func(name string, port, pid int, birth, boot, space string) {
		put(fmt.Sprintf("%s.%d", name, pid), fmt.Sprintf("%s %d 0.0.0.0 %d %s %s %s\n", name, port, pid, birth, boot, space), time.Hour)
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { zombie.Wait() })
	born := "1"
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", zombie.Process.Pid))
		if f := strings.Fields(string(text)); len(f) > 21 && f[2] == "Z" {
			born = f[21]
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no zombie")
		}
	}

	line("self", refused, me, birth, boot, space)               // it runs; the port is not asked
	line("ended", open, ended.Process.Pid, "1", boot, space)    // no such process
	line("zombie", open, zombie.Process.Pid, born, boot, space) // nobody has waited for it yet
	line("again", open, me, birth+"1", boot, space)             // a process that has the same pid now
	line("before", open, me, birth, "another-boot", space)      // before the host started anew
	line("unborn", open, 2147483646, unknown, boot, space)      // "-" is the start of no process
	line("elsewhere", open, 1, "1", boot, "pid:[1]")            // in another pid namespace, and it listens
	line("gone", refused, 1, "1", boot, "pid:[1]")              // there too, and it doesn't
	line("here", open, 1, unknown, unknown, unknown)            // nobody tells, as on macOS
	put("liar.1", fmt.Sprintf("other %d 0.0.0.0 1 - - -\n", open), time.Hour)
	put("otherpid.1", fmt.Sprintf("otherpid %d 0.0.0.0 2 - - -\n", open), time.Hour)
	put("huge.1", strings.Repeat("x", 10<<20), time.Hour)
	put("long.1", fmt.Sprintf("long %d 0.0.0.0 1 - - %s\n", open, strings.Repeat("x", maxLine)), time.Hour)
	put("binary.1", "\x83h\x02d\x00\x04halt\x00\xff\n", time.Hour)
	put("empty.1", "", time.Hour)
	put("future.1", "", -time.Hour)
	put("young.1", "young 1", 0)
	put("an entry without a dot", "", time.Hour)
	outside = filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		syscall.Mkfifo(filepath.Join(folder, "pipe.1"), 0o600),
		os.Symlink(outside, filepath.Join(folder, "link.1")),
		os.Mkdir(filepath.Join(folder, "dir.1"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		path := put(fmt.Sprintf("someone.%d", me), fmt.Sprintf("someone %d 0.0.0.0 %d %s %s %s\n", open, me, birth, boot, space), time.Hour)
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	return outside
}

// askModule has a node without a name ask the module for the names of this host.
func askModule(t *testing.T, folder string) []string {
	t.Helper()
	dir, err := Install()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "erl", "-noinput", "-pa", dir, vmargs.NodesFlag, folder, strconv.Itoa(os.Getuid()), "-eval",
		`{ok, Names} = erl_epmd:names("localhost"), [io:format("~s~n", [N]) || {N, _} <- Names], halt().`)
	cmd.Env = append(os.Environ(), "ERL_EPMD_PORT="+strconv.Itoa(int(testenv.Port(t)))) // where nobody listens
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Fields(string(out))
}

// Eight nodes that want one name at the same moment, again and again: each time one of them gets
// it, and no other.
func TestOneName(t *testing.T) {
	testenv.Need(t, "erl")
	folder := alone(t)
	dir, err := Install()
	if err != nil {
		t.Fatal(err)
	}
	const nodes, rounds = 8, 30
	const play = `(fun Round() -> case io:get_line("") of
			eof -> halt();
			Moment ->
				{ok, _} = erl_epmd:start_link(),
				T = list_to_integer(string:trim(Moment)),
				(fun Wait() -> erlang:system_time(millisecond) < T andalso Wait() end)(),
				io:format("~p~n", [element(1, erl_epmd:register_node("one", 1, inet_tcp))]),
				io:get_line(""),
				erl_epmd:stop(),
				io:format("stopped~n"),
				Round()
		end end)()`
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	type player struct {
		say   io.Writer
		hears *bufio.Scanner
	}
	var players [nodes]player
	for i := range players {
		cmd := exec.CommandContext(ctx, "erl", "-noshell", "+S", "1:1", "-pa", dir, vmargs.NodesFlag, folder, strconv.Itoa(os.Getuid()), "-eval", play)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer in.Close()
		players[i] = player{in, bufio.NewScanner(out)}
	}
	all := func(line string) map[string]int {
		t.Helper()
		for _, p := range players {
			fmt.Fprintln(p.say, line)
		}
		said := map[string]int{}
		for _, p := range players {
			if !p.hears.Scan() {
				t.Fatalf("a node ended: %v", p.hears.Err())
			}
			said[p.hears.Text()]++
		}
		return said
	}
	for r := range rounds {
		moment := time.Now().Add(10 * time.Millisecond).UnixMilli()
		if said := all(strconv.FormatInt(moment, 10)); said["ok"] != 1 || said["error"] != nodes-1 {
			t.Errorf("round %d: %v", r, said)
		}
		if said := all("stop"); said["stopped"] != nodes {
			t.Fatalf("round %d: %v", r, said)
		}
	}
	if left, _ := os.ReadDir(folder); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// A node that gives its name up and takes it again makes a file of the same name. Whoever saw that
// the first one was gone must not remove the second.
func TestFileOfTheSameName(t *testing.T) {
	folder := alone(t)
	file := filepath.Join(folder, "a.1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var lookers sync.WaitGroup
	defer lookers.Wait()
	for range 4 {
		lookers.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := Nodes(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	made := 0
	for ; ctx.Err() == nil; made++ {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Microsecond)
		if err := os.Remove(file); err != nil {
			t.Fatalf("file %d: %v", made, err)
		}
	}
	t.Logf("%d files", made)
}
