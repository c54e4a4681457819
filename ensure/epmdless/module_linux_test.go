package epmdless

import (
	"context"
	"fmt"
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

	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/ensure/internal/owner"
)

// Files of every kind in the folder: the module, in a real Erlang, and this package find the same nodes, leave the same files, and
// nothing else happens.
func TestPlantedFiles(t *testing.T) {
	epmdtest.Need(t, "erl")
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

// plant fills the folder.
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
	cmd := exec.CommandContext(ctx, "erl", "-noinput", "-pa", dir, FolderFlag, folder, strconv.Itoa(os.Getuid()), "-eval",
		`{ok, Names} = beamrun_epmd:names("localhost"), [io:format("~s~n", [N]) || {N, _} <- Names], halt().`)
	cmd.Env = append(os.Environ(), "ERL_EPMD_PORT="+strconv.Itoa(epmdtest.Port(t))) // where nobody listens
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Fields(string(out))
}

// hold is when a node had the name, in nanoseconds.
type hold struct{ round, from, to int }

// Eight nodes that want one name at the same moment, again and again: each time one of them gets it, and no other has it meanwhile.
func TestOneName(t *testing.T) {
	epmdtest.Need(t, "erl")
	folder := alone(t)
	dir, err := Install()
	if err != nil {
		t.Fatal(err)
	}
	const nodes, rounds = 8, 15
	begin := time.Now().Add(3 * time.Second).UnixMilli() // when all have booted, or the first rounds have fewer
	ask := fmt.Sprintf(`Wait = fun F(T) -> case erlang:system_time(millisecond) of Now when Now < T - 3 -> timer:sleep(1), F(T); Now when Now < T -> F(T); _ -> ok end end,
		[begin
			{ok, _} = beamrun_epmd:start_link(),
			Wait(%d + 200 * R),
			Got = beamrun_epmd:register_node("one", 1, inet_tcp),
			From = erlang:system_time(),
			Wait(%[1]d + 200 * R + 150),
			case Got of
				{ok, -1} -> io:format("~p ~p ~p~n", [R, From, erlang:system_time()]);
				{error, duplicate_name} -> ok
			end,
			beamrun_epmd:stop()
		end || R <- lists:seq(1, %d)], halt().`, begin, rounds)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var times []hold
	for range nodes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, "erl", "-noinput", "+S", "1:1", "-pa", dir, FolderFlag, folder, strconv.Itoa(os.Getuid()), "-eval", ask).CombinedOutput()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				var h hold
				if _, err := fmt.Sscan(line, &h.round, &h.from, &h.to); err != nil {
					t.Errorf("%q: %v", line, err)
				}
				times = append(times, h)
			}
		})
	}
	wg.Wait()
	had := map[int]int{}
	for i, a := range times {
		had[a.round]++
		for _, b := range times[:i] {
			if a.from < b.to && b.from < a.to {
				t.Errorf("two had the name at once: %v and %v", a, b)
			}
		}
	}
	for r := 1; r <= rounds; r++ {
		// on a busy machine one of the round before may still have it
		late := func(h hold) bool {
			return h.from < int(begin+200*int64(r)+150)*1e6 && int(begin+200*int64(r))*1e6 < h.to
		}
		if had[r] == 0 && !slices.ContainsFunc(times, late) {
			t.Errorf("round %d: none got the name", r)
		}
	}
	t.Logf("names had in %d rounds: %d", rounds, len(times)) // more where one came so late that another had ended
	if left, _ := os.ReadDir(folder); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}
