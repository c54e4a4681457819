//go:build attacks

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

func init() {
	attacks["crowd"] = playCrowd
	attacks["lyingepmd"] = playLyingEpmd
}

// playCrowd is "crowd PREFIX COUNT KIND PROGRAM READY": so many processes, each a node that says
// its name. PROGRAM is the beam.smp that plays each, which may be a small script. By KIND, each has
// a name of its own, which epmd has at another port ("taken"), all have the same one ("same"), or
// none says anything ("silent").
func playCrowd(args []string) error {
	var count int
	if _, err := fmt.Sscan(args[1], &count); err != nil {
		return err
	}
	other, err := listenAsNode("127.0.0.1:0")
	if err != nil {
		return err
	}
	for i := range count {
		name := fmt.Sprint(args[0], i)
		if args[2] == "same" {
			name = args[0]
		}
		l, err := listenAsNode("127.0.0.1:0")
		if err != nil {
			return err
		}
		if _, err := startHolder(args[3], vmArgs(name, "/home/mallory"), l); err != nil {
			return err
		}
		n := &fakeNode{name: name, digests: "/tmp/digests"}
		go func() {
			for {
				c, err := l.AcceptTCP()
				if err != nil {
					return
				}
				if args[2] != "silent" {
					go n.serve(c)
				}
			}
		}()
		if args[2] == "taken" {
			port := other.Addr().(*net.TCPAddr).Port
			if err := holdNames("127.0.0.1:4369", []string{name}, port, hour); err != nil {
				return err
			}
		}
	}
	// the last process that is looked into for that port has it
	if _, err := startHolder(args[3], []string{"x"}, other); err != nil {
		return err
	}
	if err := errors.Join(other.Close(), os.WriteFile(args[4], nil, 0o644)); err != nil {
		return err
	}
	select {}
}

const hour = time.Hour

// playLyingEpmd is "lyingepmd READY": an epmd with as many names as a reply may have, all at ports
// where nobody listens.
func playLyingEpmd(args []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:4369")
	if err != nil {
		return err
	}
	var names strings.Builder
	for i := range 65000 {
		fmt.Fprintf(&names, "name n%d at port %d\n", i, 1+i%1000)
	}
	if err := os.WriteFile(args[0], nil, 0o644); err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(30 * time.Second))
			if request := readPacket(c); len(request) == 0 || request[0] != 'n' {
				c.Write([]byte("w\x01"))
				return
			}
			c.Write(binary.BigEndian.AppendUint32(nil, 4369))
			io.WriteString(c, names.String())
		}()
	}
}

// playManySockets is "manysockets COUNT NAMED READY": so many listening sockets of this user. Their
// process looks like a node with that name, or without one if it is "-".
func playManySockets(args []string) error {
	var count int
	if _, err := fmt.Sscan(args[0], &count); err != nil {
		return err
	}
	limit := syscall.Rlimit{}
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	limit.Cur = limit.Max
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	uid := os.Getuid()
	for i := range count {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		addr := [4]byte{127, byte(1 + uid%200), byte(1 + i>>8), byte(i)}
		at := &syscall.SockaddrInet4{Addr: addr, Port: 20000 + i%10000}
		if err := errors.Join(syscall.Bind(fd, at), syscall.Listen(fd, 1)); err != nil {
			return fmt.Errorf("socket %d: %w", i, err)
		}
	}
	shown, err := reserve(1 << 16)
	if err != nil {
		return err
	}
	vm := vmArgs(args[1], "/home/mallory")
	if args[1] == "-" {
		vm = vm[:len(vm)-2]
	}
	size := copy(shown, strings.Join(vm, "\x00")) + 1
	err = errors.Join(becomeBeam(), showArgs(shown[:size], shown[size:size+1]),
		os.WriteFile(args[2], nil, 0o644))
	if err != nil {
		return err
	}
	for {
		time.Sleep(hour)
	}
}

func init() { attacks["manysockets"] = playManySockets }

// playHold is "holdname NAME PORT READY [FOR]": it has a name in epmd, any bytes, for that port,
// and for that long.
func playHold(args []string) error {
	var port int
	if _, err := fmt.Sscan(args[1], &port); err != nil {
		return err
	}
	long := hour
	if len(args) > 3 {
		long, _ = time.ParseDuration(args[3])
	}
	err := errors.Join(holdNames("127.0.0.1:4369", args[:1], port, long),
		os.WriteFile(args[2], nil, 0o644))
	if err != nil {
		return err
	}
	for {
		time.Sleep(hour)
	}
}

func init() { attacks["holdname"] = playHold }

// playTakeFDs is "takefds PATH READY": a daemon that takes descriptors over a socket at that path,
// as a D-Bus daemon does, and keeps them.
func playTakeFDs(args []string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: args[0], Net: "unix"})
	if err != nil {
		return err
	}
	err = errors.Join(os.Chmod(args[0], 0o777),
		os.WriteFile(args[1], fmt.Append(nil, os.Getpid()), 0o644))
	if err != nil {
		return err
	}
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return err
		}
		oob := make([]byte, 1024)
		_, n, _, _, err := c.ReadMsgUnix(make([]byte, 1), oob)
		messages, merr := syscall.ParseSocketControlMessage(oob[:n])
		if err == nil && merr == nil && len(messages) > 0 {
			syscall.ParseUnixRights(&messages[0])
		}
		c.Write([]byte("k"))
	}
}

// playGiveName is "givename NAME PORT PATH": it registers a name, and gives the connection that
// holds it to the daemon at that path.
func playGiveName(args []string) error {
	var port uint16
	if _, err := fmt.Sscan(args[1], &port); err != nil {
		return err
	}
	c, err := net.Dial("tcp", "127.0.0.1:4369")
	if err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint16([]byte{'x'}, port)
	b = append(b, 77, 0, 0, 6, 0, 5)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(args[0]))), args[0]...)
	writePacket(c, append(b, 0, 0))
	var answer [4]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return err
	}
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	u, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: args[2], Net: "unix"})
	if err != nil {
		return err
	}
	if _, _, err := u.WriteMsgUnix([]byte("f"), syscall.UnixRights(int(f.Fd())), nil); err != nil {
		return err
	}
	_, err = io.ReadFull(u, answer[:1])
	return err
}

func init() {
	attacks["takefds"] = playTakeFDs
	attacks["givename"] = playGiveName
}
