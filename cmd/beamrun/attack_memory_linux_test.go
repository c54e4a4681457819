//go:build attacks

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file plays processes and replies that are larger than anybody expects.

func init() {
	attacks["hugeargs"] = playHugeArgs
	attacks["herd"] = playHerd
	attacks["hugeepmd"] = playHugeEpmd
}

// prctlMM is struct prctl_mm_map, see prctl(2), PR_SET_MM_MAP.
type prctlMM struct {
	startCode, endCode, startData, endData, startBrk, brk, startStack uint64
	argStart, argEnd, envStart, envEnd, auxv                          uint64
	auxvSize, exe                                                     uint32
}

// showArgs has /proc/PID/cmdline and environ of this process be those parts of its memory.
func showArgs(args, env []byte) error {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from number 3 on
	at := func(number int) uint64 { n, _ := strconv.ParseUint(f[number-3], 10, 64); return n }
	brk, _, _ := syscall.RawSyscall(syscall.SYS_BRK, 0, 0, 0)
	m := prctlMM{startCode: at(26), endCode: at(27), startData: at(45), endData: at(46),
		startBrk: at(47), brk: uint64(brk), startStack: at(28), exe: ^uint32(0)}
	bounds := func(b []byte) (start, end uint64) {
		start = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
		return start, start + uint64(len(b))
	}
	m.argStart, m.argEnd = bounds(args)
	m.envStart, m.envEnd = bounds(env)
	_, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_MM, unix.PR_SET_MM_MAP,
		uintptr(unsafe.Pointer(&m)), unsafe.Sizeof(m), 0, 0)
	if e != 0 {
		return fmt.Errorf("PR_SET_MM_MAP: %w", e)
	}
	return nil
}

// reserve is memory that needs none until it is read.
func reserve(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS|syscall.MAP_NORESERVE)
}

func becomeBeam() error { return os.WriteFile("/proc/self/comm", []byte("beam.smp"), 0) }

// playHugeArgs is "hugeargs NAME HOME ARGS ENV READY": a node with so many GiB of arguments and
// environment, that listens. What follows its name and home are empty arguments.
func playHugeArgs(args []string) error {
	var gib [2]int
	for i := range gib {
		if _, err := fmt.Sscan(args[2+i], &gib[i]); err != nil {
			return err
		}
	}
	l, err := listenAsNode("127.0.0.1:0")
	if err != nil {
		return err
	}
	var shown [2][]byte
	for i := range shown {
		if shown[i], err = reserve(max(gib[i]<<30, 1<<16)); err != nil {
			return err
		}
	}
	copy(shown[0], strings.Join(vmArgs(args[0], args[1]), "\x00"))
	copy(shown[1], "HOME="+args[1])
	err = errors.Join(becomeBeam(), showArgs(shown[0], shown[1]), os.WriteFile(args[4], nil, 0o644))
	if err != nil {
		return err
	}
	n := &fakeNode{name: args[0], digests: "/tmp/digests"}
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return err
		}
		go n.serve(c)
	}
}

// playHerd is "herd NAME PROCESSES SOCKETS DESCRIPTORS READY": so many processes, each with 128 KiB
// of arguments of one byte, that share so many listening sockets and other descriptors. They share
// their memory too, as far as they don't write.
func playHerd(args []string) error {
	runtime.LockOSThread() // the children end with this thread
	var counts [3]int
	for i := range counts {
		if _, err := fmt.Sscan(args[1+i], &counts[i]); err != nil {
			return err
		}
	}
	limit := syscall.Rlimit{}
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	limit.Cur = limit.Max
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	var last int
	for i := range counts[1] {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		addr := [4]byte{127, byte(1 + i>>16), byte(i >> 8), byte(i)}
		at := &syscall.SockaddrInet4{Addr: addr, Port: 10000 + i%50000}
		if err := errors.Join(syscall.Bind(fd, at), syscall.Listen(fd, 128)); err != nil {
			return fmt.Errorf("socket %d: %w", i, err)
		}
		last = fd
	}
	for i := counts[1]; i < counts[2]; i++ {
		if _, err := syscall.Dup(last); err != nil {
			return fmt.Errorf("descriptor %d: %w", i, err)
		}
	}
	shown, err := reserve(128 << 10)
	if err != nil {
		return err
	}
	head := strings.Join(append(vmArgs(args[0], "/root"), "-extra", ""), "\x00")
	copy(shown, head)
	// the last byte stays 0, else the kernel takes it for a title that the process has changed
	for i := len(head); i < len(shown)-1; i += 2 {
		shown[i] = 'x'
	}
	if err := errors.Join(becomeBeam(), showArgs(shown, shown[:1])); err != nil {
		return err
	}
	var child uintptr
	flags := uintptr(syscall.CLONE_FILES | int(syscall.SIGCHLD))
	for i := range counts[0] {
		pid, _, e := syscall.RawSyscall6(syscall.SYS_CLONE, flags, 0, 0, 0, 0, 0)
		if e != 0 {
			return fmt.Errorf("process %d: %w", i, e)
		}
		child = pid
		if pid == 0 { // nothing of Go's runs here but this
			syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG,
				uintptr(syscall.SIGKILL), 0)
			for {
				syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
		}
	}
	if err := os.WriteFile(args[4], fmt.Append(nil, child), 0o644); err != nil {
		return err
	}
	for { // nothing is read from the sockets
		time.Sleep(time.Hour)
	}
}

// playHugeEpmd is "hugeepmd many|name|endless READY": an epmd with 4 MiB of names, one name of 2
// MiB, or names without an end.
func playHugeEpmd(args []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:4369")
	if err != nil {
		return err
	}
	if err := os.WriteFile(args[1], nil, 0o644); err != nil {
		return err
	}
	var names strings.Builder
	switch args[0] {
	case "name":
		fmt.Fprintf(&names, "name %s at port 9\n", strings.Repeat("n", 2<<20))
		fallthrough
	default:
		for i := 0; names.Len() < 4<<20-1000; i++ {
			fmt.Fprintf(&names, "name n%d at port %d\n", i, 1+i%65535)
		}
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(30 * time.Second))
			request := readPacket(c)
			if len(request) == 0 {
				return
			}
			if request[0] != 'n' { // PORT2: as much as a name can be
				long := "\xff\xff" + strings.Repeat("n", 1<<16)
				io.WriteString(c, "\x77\x00\x00\x09\x4d\x00\x00\x06\x00\x05"+long+long)
				return
			}
			c.Write(binary.BigEndian.AppendUint32(nil, 4369))
			for {
				if _, err := io.WriteString(c, names.String()); err != nil || args[0] != "endless" {
					return
				}
			}
		}()
	}
}
