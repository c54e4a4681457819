// Package shell builds the commands that beamrun shows to a person: in a hint, or behind a $.
//
// A host name, a path, a node's name or the name of a systemd unit may come from another user of
// the host. In a [Command] it is one word and nothing else: it cannot end a quotation, begin a new
// line, become an option or start a program of its own. Commands are therefore built from words,
// and quoted in this package alone.
//
//	shell.New("kill", "-CONT").Int(pid)
//	shell.New("chmod", "400").Path(path)
//	shell.New("beamrun", "--port").Int(port).Words("repair").Arg(node)
//
// [Line] is for such a text in a sentence.
package shell

import (
	"strconv"
	"strings"
)

// literal is a constant of the program. Another package can pass only an untyped constant as one,
// so no text from outside gets in without being quoted.
type literal string

// Command is a command line. The zero value is none. What cannot be a safe command becomes none
// too, so a caller needs words for that case.
type Command struct {
	text string
	bad  bool // a part of it could not be a word, so nothing is shown
}

// New returns the command of these words. They are constants, and are taken as they are.
func New(words ...literal) Command { return Command{}.Words(words...) }

// Words adds constants, as they are.
func (c Command) Words(words ...literal) Command {
	for _, w := range words {
		c = c.add(string(w))
	}
	return c
}

// Arg adds a word from outside. With one that [IsArg] refuses, c becomes no command at all.
// For a path, see [Command.Path].
func (c Command) Arg(word string) Command {
	if !IsArg(word) {
		c.bad = true
	}
	return c.add(Quote(word))
}

// IsArg reports whether a word can be an argument: it is not empty, programs do not take it for an
// option, and the kernel can pass it on.
func IsArg(word string) bool {
	return word != "" && word[0] != '-' && !strings.Contains(word, "\x00")
}

// Args adds words from outside, each as [Command.Arg] does.
func (c Command) Args(words ...string) Command {
	for _, w := range words {
		c = c.Arg(w)
	}
	return c
}

// Option adds one word made of a constant and a text from outside. A constant that ends with = is a
// variable's name, or a flag, and stays outside of the quotation: "HOME=" is then also right before
// a program. Others, such as "file:", are quoted with the text.
func (c Command) Option(begin literal, rest string) Command {
	c.bad = c.bad || strings.Contains(rest, "\x00")
	switch {
	case begin == "":
		return c.Arg(rest)
	case strings.HasSuffix(string(begin), "=") && rest != "":
		return c.add(string(begin) + Quote(rest))
	case strings.HasSuffix(string(begin), "="):
		return c.add(string(begin))
	}
	return c.add(Quote(string(begin) + rest))
}

// Path adds a path from outside. One that begins with a - gets ./ before it, so it is no option.
func (c Command) Path(path string) Command {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return c.Arg(path)
}

// Int adds a number: a port, a pid, a uid.
func (c Command) Int(n int) Command {
	c.bad = c.bad || n < 0 // it would be an option, and kill(1) takes a negative pid for a group
	return c.add(strconv.Itoa(n))
}

// And returns the command that runs next if c succeeds.
func (c Command) And(next Command) Command { return c.join(" && ", next) }

// Then returns the command that runs next whatever c does.
func (c Command) Then(next Command) Command { return c.join("; ", next) }

// Sudo returns the command run by root. It is for one program: what follows by And is not.
func (c Command) Sudo() Command {
	if c.text != "" {
		c.text = "sudo " + c.text
	}
	return c
}

// IsZero reports whether there is no command.
func (c Command) IsZero() bool { return c.text == "" || c.bad }

// String returns the command line for a POSIX shell; on Windows for cmd and PowerShell. It is "" if
// there is none.
func (c Command) String() string {
	if c.bad {
		return ""
	}
	return c.text
}

func (c Command) add(word string) Command {
	if c.text != "" {
		c.text += " "
	}
	c.text += word
	return c
}

// join does without a side that is empty, but not without one that could not be a command.
func (c Command) join(by string, next Command) Command {
	bad := c.bad || next.bad
	switch {
	case c.text == "":
		c = next
	case next.text != "":
		c.text += by + next.text
	}
	c.bad = bad
	return c
}
