package exampletest

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/creack/pty"
)

// Terminal is one that a program runs on.
type Terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	file   *os.File
	output chan string
	screen string // since the last match
}

// Open starts cmd on a terminal.
func Open(t *testing.T, cmd *exec.Cmd) *Terminal {
	t.Helper()
	file, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	term := &Terminal{t: t, cmd: cmd, file: file, output: make(chan string, 1000)}
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

// Expect waits until the pattern stands on the screen, after what was expected before.
func (term *Terminal) Expect(pattern string) {
	term.t.Helper()
	re := regexp.MustCompile(pattern)
	for timeout := time.After(Deadline); ; {
		if at := re.FindStringIndex(term.screen); at != nil {
			term.screen = term.screen[at[1]:]
			return
		}
		select {
		case s, ok := <-term.output:
			if term.screen += s; !ok {
				term.t.Fatalf("the terminal ended before %q:\n%s", pattern, term.screen)
			}
		case <-timeout:
			term.t.Fatalf("no %q on the terminal:\n%s", pattern, term.screen)
		}
	}
}

// Type types.
func (term *Terminal) Type(keys string) { term.file.WriteString(keys) }

// Wait waits for the program's end.
func (term *Terminal) Wait() error {
	for range term.output {
		// until it is closed
	}
	return term.cmd.Wait()
}
