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

// playDeadFuse is "deadfuse DIR READY": a FUSE file system of mallory's at DIR that takes every question and answers none. Root mounts it, as
// fusermount(1) would for any user.
func playDeadFuse(args []string) error {
	fd, err := syscall.Open("/dev/fuse", syscall.O_RDWR, 0)
	if err != nil {
		return err
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd, mallory, mallory)
	if err := syscall.Mount("fuse", args[0], "fuse", syscall.MS_NOSUID|syscall.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(mallory), syscall.Setuid(mallory)); err != nil {
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
		if _, err := syscall.Read(fd, buf); err != nil && err != syscall.EINTR {
			return err
		}
	}
}
