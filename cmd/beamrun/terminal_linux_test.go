package main

import (
	"io"
	"log"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal is one that a program runs on.
type terminal struct {
	testing.TB
	*os.File
	output chan string
	screen string // since the last match
}

// onTerminal starts cmd on a terminal of 80 columns.
func onTerminal(t testing.TB, cmd *exec.Cmd) *terminal {
	t.Helper()
	cmd.Env = append(cmd.Env, "TERM=xterm")
	file, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	term := &terminal{TB: t, File: file, output: make(chan string, 1000)}
	go func() {
		defer close(term.output)
		for buf := make([]byte, 4096); ; {
			n, err := file.Read(buf)
			if err != nil {
				return
			}
			term.output <- string(buf[:n])
		}
	}()
	return term
}

// expect waits until the pattern stands on the screen, after what was expected before.
func (term *terminal) expect(pattern string) {
	term.Helper()
	re := regexp.MustCompile(pattern)
	for timeout := time.After(30 * time.Second); ; {
		if at := re.FindStringIndex(term.screen); at != nil {
			term.screen = term.screen[at[1]:]
			return
		}
		select {
		case s, ok := <-term.output:
			if term.screen += s; !ok {
				term.Fatalf("the terminal ended before %q:\n%s", pattern, term.screen)
			}
		case <-timeout:
			term.Fatalf("no %q on the terminal:\n%s", pattern, term.screen)
		}
	}
}

// send types.
func (term *terminal) send(keys string) { term.WriteString(keys) }

func init() { testCommands["onterminal"] = becomeTerminal }

// becomeTerminal is a terminal for the program that it is given.
func becomeTerminal() {
	file, err := pty.Start(exec.Command(os.Args[1], os.Args[2:]...))
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(io.Discard, file)
}
