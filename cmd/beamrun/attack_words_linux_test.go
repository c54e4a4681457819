package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/beamrun/beamrun/internal/shell/shelltest"
)

func init() {
	attacks["words"] = hostileWords
	attacks["vm"] = hostileVM
	attacks["inert"] = checkInert
}

// forging are the texts of hostileWords: what would begin a line of beamrun's, and what would start
// a program. FORGED stands in no other place.
var forging = append([]string{
	"x\nhint: FORGED", "x\n$ FORGED", "x\n                     $ FORGED", "x\r\nbeamrun: FORGED",
	"x\x1b[2K\rhint: FORGED", "x\u0085hint: FORGED", "x\u2028$ FORGED",
	"x\n name y at port 1\nname FORGED at port 2", "$(touch${IFS}/tmp/pwned)",
	"`touch${IFS}/tmp/pwned`", "';touch${IFS}/tmp/pwned;'", "--help@box", "-rf",
}, shelltest.Hostile...)

// hostileWords registers such names until it is killed. It has processes with such names and
// arguments, too: they look like VMs of Erlang with nodes that have lost their names. With an
// argument no name has a line end: one makes a reply to NAMES that is none.
func hostileWords(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for i, s := range forging {
		if len(args) == 0 || !strings.Contains(s, "\n") {
			if _, err := hold(fmt.Sprintf("%s%d", s, i), 1000+i); err != nil {
				return err
			}
		}
		cmd := exec.Command(self)
		node := s + "@vm"
		switch i % 3 {
		case 0: // it gets its name from the handshake
			cmd.Args = []string{"attack", "vm", "-home", "/home/mallory/" + s}
		case 1:
			node = fmt.Sprintf("n%d@box", i)
			cmd.Args = []string{"attack", "vm", "-sname", node, "-home", "/home/mallory/" + s}
		case 2:
			cmd.Args = []string{"attack", "vm", "-name", s + "@box", "-home", s, "-setcookie", s,
				"-epmd_module", s, "-beamrun_nodes", s, "-epmd_port", s}
		}
		cmd.Env = []string{"COMM=beam." + s, "NODE=" + node, "HOME=/home/mallory/" + s}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	if _, err := hold("ready", 999); err != nil {
		return err
	}
	select {}
}

// hold registers a name with the epmd on port 4369 while the connection is open.
func hold(name string, port int) (net.Conn, error) {
	c, err := net.Dial("tcp", "127.0.0.1:4369")
	if err != nil {
		return nil, err
	}
	request := []byte{'x', byte(port >> 8), byte(port), 77, 0, 0, 6, 0, 5}
	request = binary.BigEndian.AppendUint16(request, uint16(len(name)))
	request = append(append(request, name...), 0, 0)
	_, err = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(request))), request...))
	held = append(held, c)
	return c, err
}

var held []net.Conn // else the collector closes them

// hostileVM listens, and gives $NODE as the name of its node.
func hostileVM([]string) error {
	if err := os.WriteFile("/proc/self/comm", []byte(os.Getenv("COMM")), 0); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	conn, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	// as a node does: else it is not asked
	conn.Control(func(fd uintptr) { err = unix.Listen(int(fd), 128) })
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		name := os.Getenv("NODE")
		challenge := append([]byte{'N'}, make([]byte, 16)...)
		binary.BigEndian.PutUint64(challenge[1:], 0x7499f7fbf)
		challenge = binary.BigEndian.AppendUint16(challenge, uint16(len(name)))
		challenge = append(challenge, name...)
		reply := binary.BigEndian.AppendUint16([]byte("\x00\x03sok"), uint16(len(challenge)))
		c.Write(append(reply, challenge...))
		held = append(held, c)
	}
}

// commandsIn are those in what --json printed.
func commandsIn(v any) (found []string) {
	switch v := v.(type) {
	case []any:
		for _, v := range v {
			found = append(found, commandsIn(v)...)
		}
	case map[string]any:
		for key, v := range v {
			text, _ := v.(string)
			switch key {
			case "command":
				found = append(found, text)
			case "hint", "advice":
				found = append(found, shelltest.Commands(text)...)
			default:
				found = append(found, commandsIn(v)...)
			}
		}
	}
	return found
}

// checkInert takes what beamrun printed, and returns an error for each line that is forged and each
// command that starts more than what it names.
func checkInert([]string) error {
	var errs []error
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	commands := 0
	for lines.Scan() {
		line := lines.Text()
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			errs = append(errs, fmt.Errorf("%q is not printable", line))
		}
		begin := strings.TrimLeft(line, " ")
		for _, mark := range []string{"hint: ", "$ ", "beamrun: ", "name ", ""} {
			if strings.HasPrefix(begin, mark+"FORGED") {
				errs = append(errs, fmt.Errorf("%q is forged", line))
			}
		}
		var shown []string
		if strings.HasPrefix(line, `{"`) {
			var v any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				errs = append(errs, fmt.Errorf("%q: %w", line, err))
			}
			shown = commandsIn(v)
		} else if command, is := strings.CutPrefix(begin, "$ "); is {
			shown = []string{command}
		} else if _, hint, is := strings.Cut(begin, "hint: "); is {
			shown = shelltest.Commands(hint)
		}
		for _, command := range shown {
			commands++
			// this one shows an option again that its user gave
			if strings.HasPrefix(command, "beamrun iex ") {
				command = strings.Replace(command, "--", "", 1)
			}
			if err := shelltest.Inert(command); err != nil {
				errs = append(errs, err)
			}
		}
	}
	fmt.Println(commands, "commands")
	return errors.Join(append(errs, lines.Err())...)
}
