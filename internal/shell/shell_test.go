package shell

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/beamrun/beamrun/internal/shell/shelltest"
)

func TestString(t *testing.T) {
	for _, test := range []struct {
		c    Command
		want string
	}{
		{New("kill", "-CONT").Int(7), "kill -CONT 7"},
		{New("chmod", "400").Path("/a b"), "chmod 400 '/a b'"},
		{New("chmod", "400").Path("-rf"), "chmod 400 ./-rf"},
		{New("rm").Path("-r f"), "rm './-r f'"},
		{New("env").Option("HOME=", "-x y"), "env HOME='-x y'"},
		{Command{}.Option("HOME=", "/r").Words("sh"), "HOME=/r sh"},
		{New("env").Option("HOME=", ""), "env HOME="},
		{New("ss").Option("dport = :", "4369"), "ss 'dport = :4369'"},
		{New("a").And(New("b")).Then(New("c").Sudo()), "a && b; sudo c"},
		{New("beamrun").Arg("a@b"), "beamrun a@b"},
		{New("echo").Arg("it's!"), `echo 'it'\''s'\!''`},
		{New("echo").Arg("\x1b[m'"), `echo $'\033[m\047'`},
		{Command{}.And(New("b")), "b"},
		{New("a").Then(Command{}), "a"},
		{Command{}.Sudo(), ""},
		// none
		{Command{}, ""},
		{New("beamrun").Arg("--help@box"), ""},
		{New("beamrun").Arg(""), ""},
		{New("rm").Path(""), ""},
		{New("rm").Path("a\x00b"), ""},
		{New("rm").Option("f:", "\x00"), ""},
		{New("rm").Option("", "-rf"), ""},
		{New("kill").Int(-1), ""},
		{New("a").Arg("-x").And(New("b")), ""},
		{New("a").Then(New("b").Arg("-x")).Then(New("c")), ""},
		{Command{}.Arg("-x").And(New("b")), ""},
		{New("a").Arg("-x").Sudo(), ""},
	} {
		if got := test.c.String(); got != test.want || test.c.IsZero() != (test.want == "") {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// arrive runs a command of printf's in a shell, with nothing else to run, and returns the words
// that came to it.
func arrive(t *testing.T, sh string, c Command) []string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(sh, "-c", c.String())
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + dir, "HOME=/"}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil || said.Len() > 0 {
		t.Errorf("%s: %s: %v, %s", sh, c, err, said.String())
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
		t.Errorf("%s: %s made %v, %v", sh, c, made, err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\x00"), "\x00")
}

// checkWords sees that the words come to a program as they are, and that nothing else happens.
func checkWords(t *testing.T, words ...string) {
	t.Helper()
	c, want := New("printf", `'%s\0'`, "the-words"), []string{"the-words"}
	for _, w := range words {
		c = c.Path(w).Option("x:", w).Option("x=", w)
		if strings.HasPrefix(w, "-") {
			w = "./" + w
			want = append(want, w, "x:"+w[2:], "x="+w[2:])
			continue
		}
		want = append(want, w, "x:"+w, "x="+w)
	}
	checkLine(t, c.String())
	if runtime.GOOS == "windows" || c.IsZero() {
		return
	}
	for _, sh := range []string{"bash", "dash", "zsh", "busybox"} {
		path, err := exec.LookPath(sh)
		if err != nil {
			continue
		}
		got := arrive(t, path, c)
		if sh == "dash" && strings.Contains(c.String(), "$'") {
			if len(got) != len(want) {
				t.Errorf("dash: %s: %d words became %q", c, len(want), got)
			}
		} else if !slices.Equal(got, want) {
			t.Errorf("%s: %s: got %q, want %q", sh, c, got, want)
		}
	}
}

func checkLine(t *testing.T, line string) {
	t.Helper()
	if !utf8.ValidString(line) || strings.IndexFunc(line, notPrint) >= 0 {
		t.Errorf("%q is not one printable line", line)
	}
}

func TestWords(t *testing.T) {
	checkWords(t, shelltest.Hostile...)
	for _, w := range shelltest.Hostile {
		checkWords(t, w)
	}
}

func FuzzWords(f *testing.F) {
	for _, w := range shelltest.Hostile {
		f.Add(w, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		checkWords(t, a, b)
		checkWindows(t, a)
		checkLine(t, Line(a))
	})
}

// Neither cmd nor PowerShell is here, so what they act on is not: a word is plain, or between
// quotes that nothing in it ends.
func checkWindows(t *testing.T, s string) {
	t.Helper()
	word := quoteWindows(s)
	checkLine(t, word)
	inner, quoted := strings.CutPrefix(word, `"`)
	if !quoted {
		if word == "" || word[0] == '@' || strings.ContainsFunc(word, func(r rune) bool {
			return !unicode.Is(unicode.Latin, r) && !unicode.IsDigit(r) && !strings.ContainsRune(`_-./:@+\`, r) || r > '~'
		}) {
			t.Errorf("%q became %s", s, word)
		}
		return
	}
	inner, ends := strings.CutSuffix(inner, `"`)
	backslashes := len(inner) - len(strings.TrimRight(inner, `\`))
	if !ends || strings.ContainsAny(inner, "\"%$`!^&|<>\n\r“”„‟") || backslashes%2 != 0 {
		t.Errorf("%q became %s", s, word)
	}
}

func TestWindows(t *testing.T) {
	for s, want := range map[string]string{
		`C:\erl\bin\epmd.exe`: `C:\erl\bin\epmd.exe`, `C:\Program Files (x86)\`: `"C:\Program Files (x86)\\"`, "": `""`, "node@host": "node@host", "@x": `"@x"`,
		`a" & calc "%PATH%$x`: `"a? ? calc ??PATH??x"`, "a,b": `"a,b"`, "a\nb": `"a?b"`,
	} {
		if got := quoteWindows(s); got != want {
			t.Errorf("%q became %s, want %s", s, got, want)
		}
	}
	for _, s := range shelltest.Hostile {
		checkWindows(t, s)
	}
}

func TestLine(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "plain é 日本 'x' \ufffd": "plain é 日本 'x' \ufffd", "a\x1b[31mb": `a\x1b[31mb`, "\u202egnp.exe": `\u202egnp.exe`,
		"\xff\ufffd": `\xff` + "\ufffd", "a\r\n\t\x00": `a\r\n\t\x00`, "\u009b\u2028\u2066": `\u009b\u2028\u2066`,
	} {
		if got := Line(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// The place where other packages run their commands sees what is not inert.
func TestInert(t *testing.T) {
	for _, bad := range []string{
		"beamrun $(touch pwned)", "rm a\nb", "rm a; touch pwned", "rm a > pwned", "beamrun --help@box", "beamrun 'a", "rm \x1b",
		"touch pwned", "rm `ls`x `touch pwned`", "rm -rf",
	} {
		if shelltest.Inert(bad) == nil {
			t.Errorf("%q counts as inert", bad)
		}
	}
	for _, w := range shelltest.Hostile {
		c := New("kill", "-CONT").Int(1).And(New("rm", "-f").Path("/x/" + w)).Then(New("export").Option("HOME=", w))
		if err := shelltest.Inert(c.String()); err != nil {
			t.Error(err)
		}
	}
}
