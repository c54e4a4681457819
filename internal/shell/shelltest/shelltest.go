// Package shelltest has what tests of shown commands share: the texts of a hostile neighbour, and a
// place to run a command where nothing but its own program can start.
package shelltest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// Hostile are texts that a shell, a terminal or a program could act on.
var Hostile = []string{
	"$(touch pwned)", "`touch pwned`", "'; touch pwned; '", `"; touch pwned; "`,
	`\'; touch pwned; '`, `a\`, "; touch pwned", "&& touch pwned", "| touch pwned",
	"& touch pwned &", "> pwned", "< /etc/passwd", "a\ntouch pwned", "a\r\ntouch pwned\r",
	"a\nhint: touch pwned", "a\n$ touch pwned", "a\nbeamrun: x", "\x1b[31m", "\u009b2J",
	"\x9b2J", "\u0085x", "\u202egnp.exe", "\u2066x\u2069", "\u200f", "\u061c", "\u2028",
	"\u00a0", "\u3164", "\u2800", "\ufeff", "\xff\xfe", "e\u0301", "a b", " ", "\t", "*", "?",
	"[a-z]*", "~", "~root", "a=~", "=ls", "{a,b}", "!!", "!touch", "#", "$HOME", "${IFS}", "$",
	"%PATH%", "^x", "\u201d; touch pwned; \u201c", "--help@box", "-rf", "-", "it's", "日本",
	"\x7f", "a\\\nb", "'", "''", `\\`, "$'\\''", "beamrun-epmd-$(touch${IFS}pwned).service",
}

// programs are those that shown commands name, and options those that they give them.
var (
	programs = strings.Fields("beamrun chmod chown env erl fuser head journalctl kill loginctl" +
		" ls ln mkdir mv rm runuser sh sleep ss sudo sysctl systemctl file df install apt-get")
	options = strings.Fields("-CONT -KILL -f -r -p -m -c --user --port --address --local" +
		" --detach --cookie -u -v -lL -l -1 --epmdless -tnp -ltnp -- -noinput -s -n -H -i -L -o -d")
)

// Inert returns an error unless a shown command is one printable line that starts only what it
// names, or is empty. It runs it in bash and dash with programs that do nothing.
func Inert(command string) error {
	if strings.ContainsFunc(command, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%q is not one printable line", command)
	}
	if command == "" {
		return nil
	}
	for _, sh := range []string{"bash", "dash"} {
		path, err := exec.LookPath(sh)
		if err != nil {
			continue
		}
		if err := inertIn(path, command); err != nil {
			return fmt.Errorf("%s: %s: %w", sh, command, err)
		}
	}
	return nil
}

func inertIn(shell, command string) error {
	dir, err := os.MkdirTemp("", "inert-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, empty := filepath.Join(dir, "bin"), filepath.Join(dir, "empty")
	log := filepath.Join(dir, "log")
	if err := errors.Join(os.Mkdir(bin, 0o755), os.Mkdir(empty, 0o755)); err != nil {
		return err
	}
	// each writes its name, its words and an end
	const body = `printf '%s\0' "${0##*/}" "$@" "
" >>"$LOG"`
	stub := filepath.Join(dir, "stub")
	if err := os.WriteFile(stub, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		return err
	}
	for _, p := range programs {
		if err := os.Symlink(stub, filepath.Join(bin, p)); err != nil {
			return err
		}
	}
	kill := "kill() { " + filepath.Join(bin, "kill") + ` "$@"; }; ` // else it is a builtin
	cmd := exec.Command(shell, "-c", kill+command)
	cmd.Dir, cmd.Env = empty, []string{"PATH=" + bin, "HOME=" + empty, "LOG=" + log}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil || said.Len() > 0 {
		return fmt.Errorf("%w, it printed %q", reason(err), said.String())
	}
	if made, err := os.ReadDir(empty); err != nil || len(made) > 0 {
		return fmt.Errorf("it made %v, %w", made, reason(err))
	}
	text, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for run := range strings.SplitSeq(string(text), "\n\x00") {
		for i, word := range strings.Split(run, "\x00") {
			if i > 0 && strings.HasPrefix(word, "-") && !slices.Contains(options, word) {
				return fmt.Errorf("%q is an option", word)
			}
		}
	}
	return nil
}

// Commands returns the commands in a hint: what begins with a program's name, after a colon or at
// the beginning, up to the next semicolon outside of a quotation.
func Commands(hint string) (found []string) {
	for rest := hint; rest != ""; {
		if first, _, _ := strings.Cut(rest, " "); slices.Contains(programs, first) {
			end := commandEnd(rest)
			found = append(found, strings.TrimSuffix(rest[:end], ")"))
			rest = strings.TrimPrefix(rest[end:], "; ")
			continue
		}
		_, rest, _ = strings.Cut(rest, ": ")
	}
	return found
}

func commandEnd(s string) int {
	for i, quoted := 0, false; i < len(s); i++ {
		switch {
		case s[i] == '\'' && (i == 0 || s[i-1] != '\\'):
			quoted = !quoted
		case !quoted && strings.HasPrefix(s[i:], "; "):
			return i
		}
	}
	return len(s)
}

func reason(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}
