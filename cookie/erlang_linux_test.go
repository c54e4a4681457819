package cookie

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/cookiefile"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/testenv"
)

// reading is what Load or LoadOrCreate made of a file, with all the forms of its error.
type reading struct {
	verdict
	Path, Hint string
	Shown      []string // every way to print the error
}

// request asks the role below to read the cookie of the user with that home.
type request struct {
	Home   string
	Create bool
}

func init() {
	roles["read"] = answer(func(requests []request) (out []reading) {
		os.Unsetenv("XDG_CONFIG_HOME")
		for _, r := range requests {
			os.Setenv("HOME", r.Home)
			path, err := DefaultPath()
			if err != nil {
				panic(err)
			}
			read := Load
			if r.Create {
				read = LoadOrCreate
			}
			out = append(out, readingOf(path, func() (string, error) { return read(path) }))
		}
		return out
	})
	roles["rotate"] = func() { // as beamrun --cookie file:PATH cookie rotate
		if err := Rotate(strings.TrimPrefix(os.Args[2], "file:")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func readingOf(path string, read func() (string, error)) reading {
	c, err := read()
	r := reading{verdict: verdict{OK: err == nil, Cookie: c}, Path: path}
	if err == nil {
		return r
	}
	var e *Error
	if !errors.As(err, &e) || c != "" {
		panic(fmt.Sprintf("%q, %#v", c, err))
	}
	r.Words, r.Hint = e.Err.Error(), asBeamrun(e)
	r.Shown = append(r.Shown, e.Message(), e.Hint)
	for e := error(e); e != nil; e = errors.Unwrap(e) {
		r.Shown = append(r.Shown, e.Error(), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e))
	}
	return r
}

// asBeamrun returns the hint of an error as beamrun shows it, with its own command.
func asBeamrun(e *Error) string {
	var file *cookiefile.Error
	if !errors.As(e, &file) || !file.Fix.Rotate {
		return e.Hint
	}
	rotate := shell.New("beamrun", "--cookie").Option("file:", e.Path).Words("cookie", "rotate")
	return file.Fix.With(rotate).String()
}

// rootsOwn is the case of rows that are about a user who is not root.
const rootsOwn = "no folder, in a folder of root's"

// A real node, and this package, on each state of a home, as each user. The outcome is the table of
// README.md.
func TestAsErlang(t *testing.T) {
	t.Parallel()
	testenv.Need(t, "erl", "epmd")
	began := time.Now()
	base, port := openDir(t), startEpmd(t)
	self := ownBinary(t, base)
	table, old := newTable(), !looksInConfig(t, base, port)
	for i, uid := range users() {
		var cases []fileCase
		for _, c := range fileCases {
			if (!c.other || os.Geteuid() == 0) && (!c.text || i == 0) {
				cases = append(cases, c)
			}
		}
		// each of the three has a home of its own, for they may make files
		homes := func(kind string) (out []string) {
			for i, c := range cases {
				above := filepath.Join(base, fmt.Sprint(kind, uid), fmt.Sprint(i))
				p := place{t, filepath.Join(above, "home"), uid}
				p.must(os.MkdirAll(p.home, 0o755), os.Chown(p.home, uid, uid),
					os.Chown(above, uid, uid))
				c.make(p)
				out = append(out, p.home)
			}
			return out
		}
		erlHomes, loadHomes, makeHomes := homes("erl"), homes("load"), homes("make")

		erl := make([]verdict, len(cases))
		var wg sync.WaitGroup
		slots := make(chan bool, 12) // an erl that fails sleeps most of its time
		for i := range cases {
			wg.Go(func() {
				slots <- true
				erl[i] = bootErl(t, uid, port, nodeName("boot", uid, i), erlHomes[i])
				<-slots
			})
		}
		var requests []request
		for i := range cases {
			requests = append(requests, request{loadHomes[i], false}, request{makeHomes[i], true})
		}
		as := func(role string, in, out any) {
			cmd := exec.Command(self)
			become(cmd, uid)
			play(t, cmd, role, in, out)
		}
		var readings []reading
		as("read", requests, &readings)
		wg.Wait()

		for i, c := range cases {
			load, made := readings[2*i], readings[2*i+1]
			t.Run(fmt.Sprintf("%s/uid %d", c.name, uid), func(t *testing.T) {
				isNew := erl[i].OK && len(erl[i].Cookie) == 20 &&
					!strings.Contains(erl[i].Cookie, secret)
				if old && c.config {
					if !isNew {
						t.Errorf("this erl looks in the home directory only, but: %v", erl[i])
					}
					return // what beamrun takes there is that of newer ones
				}
				// root touches nothing of another user's, and no more than 1 MiB is read
				stricter := erl[i].OK && (c.large || uid == 0 && c.other && c.name != rootsOwn)
				if stricter {
					gives := func(s string) bool { return strings.Contains(s, "chown") }
					shown := append(load.Shown, made.Shown...)
					if load.OK || made.OK || slices.ContainsFunc(shown, gives) {
						t.Errorf("Load: %v, LoadOrCreate: %v; both have to refuse it", load, made)
					}
					want, got := tree(t, loadHomes[i]), tree(t, makeHomes[i])
					if !slices.Equal(want, got) {
						t.Errorf("files after LoadOrCreate: %v, before: %v", got, want)
					}
					table.add(c.name, uid, erl[i], stricter, false, made)
					return
				}
				if made.OK != erl[i].OK || !isNew && made.Cookie != erl[i].Cookie {
					t.Errorf("LoadOrCreate: %v; erl: %v", made, erl[i])
				}
				if isNew && load.OK ||
					!isNew && (load.OK != erl[i].OK || load.Cookie != erl[i].Cookie) {
					t.Errorf("Load: %v; erl: %v", load, erl[i])
				}
				want, got := tree(t, erlHomes[i]), tree(t, makeHomes[i])
				if !slices.Equal(want, got) {
					t.Errorf("files after LoadOrCreate: %v, after erl: %v", got, want)
				}
				for _, r := range []reading{load, made} {
					for _, s := range r.Shown {
						if holdsPart(s, secret) {
							t.Errorf("the error shows the cookie: %.500s", s)
						}
					}
				}
				// Load's words where erl makes the file; else LoadOrCreate's, which say why it
				// cannot
				refused, home, create := made, makeHomes[i], true
				if isNew {
					refused, home, create = load, loadHomes[i], false
				}
				table.add(c.name, uid, erl[i], false, isNew, refused)
				if !isCommand(refused.Hint) {
					return
				}
				if err := paste(t, base, self, uid, refused.Hint); err != nil {
					t.Fatalf("%s: %v", refused.Hint, err)
				}
				var after []reading
				as("read", []request{{home, create}}, &after)
				if !after[0].OK {
					t.Errorf("after %s: %q", refused.Hint, after[0].Shown)
				}
			})
		}
	}
	t.Logf("%d rows in %v", len(table.rows), time.Since(began).Round(time.Millisecond))
	if os.Geteuid() == 0 && !old { // else it is a part of the rows
		table.compare(t)
	}
}

// tree is what is in a directory, without what the files hold.
func tree(t *testing.T, dir string) (out []string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // no directory, or one that we may not enter
		}
		info, err := d.Info()
		if err != nil {
			t.Error(err)
			return nil
		}
		to, _ := os.Readlink(path)
		out = append(out, fmt.Sprintln(strings.TrimPrefix(path, dir), info.Mode(), to))
		return nil
	})
	return out
}

// holdsPart reports whether s has three characters of the secret on end.
func holdsPart(s, secret string) bool {
	for i := range len(secret) - 2 {
		if strings.Contains(s, secret[i:i+3]) {
			return true
		}
	}
	return false
}

// isCommand reports whether a hint is a command, and not words.
func isCommand(hint string) bool {
	word, _, _ := strings.Cut(hint, " ")
	return slices.Contains([]string{"beamrun", "chmod", "mv", "mkdir", "sudo", "ln"}, word)
}

// paste runs a hint in a shell, as uid; where it says sudo, as root, if we are.
func paste(t *testing.T, base, self string, uid int, hint string) error {
	t.Helper()
	bin := filepath.Join(base, "bin")
	if _, err := os.Stat(bin); err != nil {
		beamrun := fmt.Sprintf("#!/bin/sh\n%s=rotate exec '%s' -- \"$2\"\n", roleVar, self)
		err := errors.Join(os.Mkdir(bin, 0o755),
			os.WriteFile(filepath.Join(bin, "beamrun"), []byte(beamrun), 0o755),
			os.WriteFile(filepath.Join(bin, "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755))
		if err != nil {
			t.Fatal(err)
		}
	}
	if strings.HasPrefix(hint, "sudo ") {
		if uid = os.Geteuid(); uid != 0 {
			t.Skip("the hint needs sudo")
		}
	}
	cmd := exec.Command("sh", "-c", hint)
	become(cmd, uid)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %s", err, out)
	}
	return nil
}
