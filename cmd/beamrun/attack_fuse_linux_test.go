//go:build attacks

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func init() { attacks["deadfuse"] = playDeadFuse }

// playDeadFuse is "deadfuse DIR READY": a FUSE file system of mallory's at DIR that takes every
// question and answers none. Root mounts it, as fusermount(1) would for any user.
func playDeadFuse(args []string) error {
	fd, err := syscall.Open("/dev/fuse", syscall.O_RDWR, 0)
	if err != nil {
		return err
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other",
		fd, mallory, mallory)
	const flags = syscall.MS_NOSUID | syscall.MS_NODEV
	if err := syscall.Mount("fuse", args[0], "fuse", flags, options); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	err = errors.Join(syscall.Setgroups(nil), syscall.Setgid(mallory), syscall.Setuid(mallory))
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	if _, err := syscall.Read(fd, buf); err != nil { // FUSE_INIT
		return fmt.Errorf("init: %w", err)
	}
	// fuse_out_header, and fuse_init_out: version 7.31, and nothing that is asked for
	native := binary.NativeEndian
	out := make([]byte, 16+64)
	native.PutUint32(out, uint32(len(out)))
	copy(out[8:], buf[8:16]) // unique
	native.PutUint32(out[16:], 7)
	native.PutUint32(out[20:], 31)
	native.PutUint32(out[24:], 1<<16)
	native.PutUint32(out[36:], 1<<16)
	if _, err := unix.Write(fd, out); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if err := os.WriteFile(args[1], nil, 0o644); err != nil {
		return err
	}
	go func() {
		time.Sleep(100 * time.Second)
		os.Exit(0)
	}()
	for {
		n, err := syscall.Read(fd, buf)
		if err != nil && err != syscall.EINTR {
			return err
		}
		if n >= 16 && native.Uint32(buf[4:]) == 34 { // FUSE_ACCESS: then the kernel decides
			no := make([]byte, 16)
			native.PutUint32(no, 16)
			errno := -int32(unix.ENOSYS)
			native.PutUint32(no[4:], uint32(errno))
			copy(no[8:], buf[8:16])
			unix.Write(fd, no)
		}
	}
}

func init() { attacks["rootin"] = playRootIn }

// playRootIn is "rootin DIR READY": a process that looks like a node and has its root directory
// there.
func playRootIn(args []string) error {
	ready, err := os.Create(args[1])
	if err != nil {
		return err
	}
	if err := errors.Join(becomeBeam(), syscall.Chroot(args[0])); err != nil {
		return err
	}
	fmt.Fprintln(ready, "there")
	for {
		time.Sleep(time.Hour)
	}
}
