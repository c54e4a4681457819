package cookie

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/beamrun/beamrun/internal/cookiefile"
)

const fileName = cookiefile.Name

// secret is in every file of the table: no message may hold any part of it.
const secret = "Xq7Zp2Wv9K"

// place is where a case puts its files: a directory that is a user's home, or should be.
type place struct {
	t    *testing.T
	home string
	uid  int // of the user
}

func (p place) path() string { return filepath.Join(p.home, fileName) }

func (p place) must(errs ...error) {
	p.t.Helper()
	if err := errors.Join(errs...); err != nil {
		p.t.Fatal(err)
	}
}

// put writes a file under the home, for uid.
func (p place) put(name, text string, mode uint32, uid int) {
	p.t.Helper()
	path := filepath.Join(p.home, name)
	// not os.Chmod: it takes 04000 for something else
	p.must(os.WriteFile(path, []byte(text), 0o600), os.Chown(path, uid, uid),
		syscall.Chmod(path, mode))
}

func (p place) dir(name string) {
	p.t.Helper()
	path := filepath.Join(p.home, name)
	p.must(os.Mkdir(path, 0o755), os.Chown(path, p.uid, p.uid))
}

func (p place) link(to, name string) {
	p.t.Helper()
	path := filepath.Join(p.home, name)
	p.must(os.Symlink(to, path), os.Lchown(path, p.uid, p.uid))
}

// other is a user who is not p.uid. Only root can make files for one.
func (p place) other() int { return nobodyUID + 1 }

// fileCase is one row of the table: a state of a user's home.
type fileCase struct {
	name   string
	make   func(p place)
	other  bool // needs another user's files: root takes none, unlike Erlang
	text   bool // is only about the text: the same for every user
	large  bool // is more than beamrun reads, unlike Erlang
	config bool // is about the configuration directory, where older ones do not look
}

func text(name, s string) fileCase {
	return fileCase{name: name, text: true, make: func(p place) {
		p.put(fileName, s, 0o400, p.uid)
	}}
}

func large(name, s string) fileCase {
	c := text(name, s)
	c.large = true
	return c
}

func mode(bits uint32, name string) fileCase {
	return fileCase{name: "mode " + name, make: func(p place) {
		p.put(fileName, secret, bits, p.uid)
	}}
}

var fileCases = []fileCase{
	text("one line, no line end", secret),
	text("a line end", secret+"\n"),
	text("CRLF", secret+"\r\n"),
	text("line ends and spaces after it", secret+"  \r\n \n\r "),
	text("64 KiB of line ends after it", secret+strings.Repeat("\n", 64<<10)),
	text("1 MiB with the line ends after it", secret+strings.Repeat("\n", 1<<20-len(secret))),
	large("10 MB of line ends after it", secret+strings.Repeat("\n", 10<<20)),
	text("64 KiB of line ends, then a letter", secret+strings.Repeat("\n", 64<<10)+"x"),
	text("spaces around and in it (they count)", "  "+secret+" b  \n"),
	text("spaces only", "   "),
	text("leading -", "-"+secret),
	text("255 characters", strings.Repeat(secret, 26)[:255]+"\n"),
	text("256 characters", strings.Repeat(secret, 26)[:256]+"\n"),
	large("10 MB of letters", strings.Repeat(secret, 1<<20)),
	text("empty", ""),
	text("only a line end", "\n"),
	text("a line end first", "\n"+secret),
	text("two lines", secret+"\n"+secret+"\n"),
	text("NUL", secret+"\x00"),
	text("NUL after the line end", secret+"\n\x00"),
	text("tab", secret+"\tx"),
	text("tab after the line end", secret+"\n\t"),
	text("DEL", secret+"\x7f"),
	text("UTF-8", secret+"é"),
	text("UTF-8 byte order mark", "\xef\xbb\xbf"+secret),
	text("Latin-1", secret+"\xe9"),

	mode(0o400, "0400"), mode(0o600, "0600"), mode(0o700, "0700"), mode(0o500, "0500"),
	mode(0o4400, "04400"), mode(0o1400, "01400"),
	mode(0, "0000"), mode(0o200, "0200"),
	mode(0o644, "0644"), mode(0o440, "0440"), mode(0o404, "0404"), mode(0o410, "0410"),
	mode(0o2440, "02440"),

	{name: "0400 of another user", other: true, make: func(p place) {
		p.put(fileName, secret, 0o400, p.other())
	}},
	{name: "0644 of another user", other: true, make: func(p place) {
		p.put(fileName, secret, 0o644, p.other())
	}},
	{name: "link to a good file", make: func(p place) {
		p.put("file", secret, 0o400, p.uid)
		p.link("file", fileName)
	}},
	{name: "link to a 0644 file", make: func(p place) {
		p.put("file", secret, 0o644, p.uid)
		p.link("file", fileName)
	}},
	{name: "link to a 0400 file of another user", other: true, make: func(p place) {
		p.dir("theirs")
		p.put("theirs/file", secret, 0o400, p.other())
		p.must(os.Chown(filepath.Join(p.home, "theirs"), p.other(), p.other()))
		p.link("theirs/file", fileName)
	}},
	{name: "link to nothing", make: func(p place) {
		p.dir("dotfiles")
		p.link("dotfiles/../dotfiles/file", fileName)
	}},
	{name: "link to nothing in no folder", make: func(p place) {
		p.link("dotfiles/file", fileName)
	}},
	{name: "link to itself", make: func(p place) { p.link(fileName, fileName) }},
	{name: "link to a directory", make: func(p place) { p.dir("dir"); p.link("dir", fileName) }},
	// /dev/null may be the user's of a container
	{name: "link to /dev/full", make: func(p place) {
		p.link("/dev/full", fileName)
	}},
	{name: "link to a file of /proc (it says it is empty)", make: func(p place) {
		p.link("/proc/self/environ", fileName)
	}},
	{name: "directory", make: func(p place) { p.dir(fileName) }},
	{name: "pipe", make: func(p place) {
		p.must(syscall.Mkfifo(p.path(), 0o600), os.Chown(p.path(), p.uid, p.uid))
	}},
	{name: "socket", make: func(p place) {
		l, err := net.Listen("unix", p.path())
		p.must(err)
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		p.must(l.Close(), os.Chown(p.path(), p.uid, p.uid), os.Chmod(p.path(), 0o600))
	}},

	{name: "missing", make: func(p place) {}},
	{name: "no folder", make: func(p place) { p.must(os.Remove(p.home)) }},
	{name: "the folder is a file", make: func(p place) {
		p.must(os.Remove(p.home), os.WriteFile(p.home, nil, 0o600), os.Chown(p.home, p.uid, p.uid))
	}},
	{name: "missing, read-only folder", make: func(p place) { p.must(os.Chmod(p.home, 0o500)) }},
	{name: "good file, read-only folder", make: func(p place) {
		p.put(fileName, secret, 0o400, p.uid)
		p.must(os.Chmod(p.home, 0o500))
	}},
	{name: "folder that may not be entered", make: func(p place) {
		p.must(os.Chmod(p.home, 0o600))
	}},
	{name: "missing, folder of another user", other: true, make: func(p place) {
		p.must(os.Chown(p.home, p.other(), p.other()))
	}},
	{name: "no folder, nor the right to make it", other: true, make: func(p place) {
		p.must(os.Remove(p.home), os.Chown(filepath.Dir(p.home), p.other(), p.other()))
	}},
	{name: "no folder, in a folder of root's", other: true, make: func(p place) {
		p.must(os.Remove(p.home), os.Chown(filepath.Dir(p.home), 0, 0))
	}},
	{name: "closed folder of another user", other: true, make: func(p place) {
		p.must(os.Chown(p.home, p.other(), p.other()), os.Chmod(p.home, 0o700))
	}},

	{name: "only in ~/.config/erlang", config: true, make: func(p place) {
		p.config()
		p.put(".config/erlang/"+fileName, secret, 0o400, p.uid)
	}},
	{name: "in ~/.config/erlang, and a link to nothing", config: true, make: func(p place) {
		p.config()
		p.put(".config/erlang/"+fileName, secret, 0o400, p.uid)
		p.link("nothing", fileName)
	}},
	{name: "only a bad one in ~/.config/erlang", config: true, make: func(p place) {
		p.config()
		p.put(".config/erlang/"+fileName, "", 0o400, p.uid)
	}},
	{name: "missing, and ~/.config is a file", config: true, make: func(p place) {
		p.put(".config", "", 0o644, p.uid)
	}},
	{name: "missing, and ~/.config/erlang may not be entered", config: true, make: func(p place) {
		p.config()
		p.must(os.Chmod(filepath.Join(p.home, ".config/erlang"), 0o600))
	}},
}

func (p place) config() { p.t.Helper(); p.dir(".config"); p.dir(".config/erlang") }
