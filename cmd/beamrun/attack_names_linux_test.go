//go:build attacks

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func init() {
	attacks["names"] = attackNames
	attacks["rss"] = printRSS
}

// attackNames is an epmd with as many names as a client may take at all: names COUNT LENGTH, where
// LENGTH 0 is one of 2 MiB.
func attackNames(args []string) error {
	count, err := strconv.Atoi(args[0])
	length, lengthErr := strconv.Atoi(args[1])
	if err := errors.Join(err, lengthErr); err != nil {
		return err
	}
	var reply bytes.Buffer
	reply.WriteString("\x00\x00\x11\x11")
	for i := range count {
		name := fmt.Sprintf("%x", i)
		// escaped, each of these becomes four characters
		name += strings.Repeat("\x01", max(0, length-len(name)))
		fmt.Fprintf(&reply, "name %s at port %d\n", name, 1+i%65535)
	}
	if length == 0 {
		fmt.Fprintf(&reply, "name %s at port 1\n", strings.Repeat("x", 2<<20))
	}
	l, err := net.Listen("tcp", "0.0.0.0:4369")
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			var request [1024]byte
			if n, _ := io.ReadAtLeast(c, request[:], 3); n > 2 && request[2] == 'n' {
				c.Write(reply.Bytes())
			} else {
				c.Write([]byte("w\x01"))
			}
		}()
	}
}

// printRSS runs a program and prints how much memory it took at most, in KiB, and its exit code.
func printRSS(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	var out struct{ written int64 }
	cmd.Stdout, cmd.Stderr = writerFunc(func(b []byte) { out.written += int64(len(b)) }), io.Discard
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return err
	}
	fmt.Printf("%d KiB, exit %d, %d bytes: %s\n",
		cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss, cmd.ProcessState.ExitCode(),
		out.written, strings.Join(args[1:], " "))
	return nil
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

// Whatever an epmd sends, no command takes 64 MiB. beamrun refuses a reply that epmd never sends.
func TestAttackNames(t *testing.T) {
	for _, reply := range []struct {
		args   string
		refuse bool
	}{
		{args: "65535 40"}, {args: "16000 240"}, {args: "246000 0", refuse: true},
		{args: "1 0", refuse: true}, {args: "10 256", refuse: true},
	} {
		out := neighbours(t, `
			mallory "$ATTACK" names `+reply.args+` &
			await bash -c '</dev/tcp/127.0.0.1/4369'
			for who in "" victim; do
				for c in names "-v names" "--json names" "names x" "--timeout 5s stop" \
					"--timeout 5s repair" "--watch sleep 1"; do
					$who "$ATTACK" rss "$BUILT" $c
				done
			done`)
		t.Logf("%s\n%s", reply.args, out)
		line := regexp.MustCompile(`(?m)^(\d+) KiB, exit (\d+), (\d+) bytes: (.*)$`)
		lines := line.FindAllStringSubmatch(out, -1)
		if len(lines) != 14 {
			t.Errorf("%d commands were measured", len(lines))
		}
		for _, l := range lines {
			kib, _ := strconv.Atoi(l[1])
			names := strings.Contains(l[4], "names") && !strings.Contains(l[4], "names x")
			if kib >= 64<<10 || names && (l[2] != "0") != reply.refuse {
				t.Errorf("%s: %s", reply.args, l[0])
			}
		}
	}
}
