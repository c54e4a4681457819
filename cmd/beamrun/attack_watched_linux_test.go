//go:build attacks

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

func init() {
	attacks["watched"] = playWatched
	attacks["takeport"] = playTakePort
	attacks["takeall"] = playTakeAll
}

const epmdAt = "127.0.0.1:4369"

func answers(patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := epmd.Names(ctx, testenv.Loopback(4369))
	return err == nil
}

// pidsOf are those of the processes with that name.
func pidsOf(comm string) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, path := range all {
		if name, _ := os.ReadFile(path); string(name) == comm+"\n" {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// playWatched is no attack but what is attacked. "watched UID WARMUP KILLS EVERY" runs a node under
// beamrun --watch as that user, and kills epmd that often after that time. It prints how long each
// time it took until an epmd answered or beamrun said something. It also prints what became of the
// node, how long beamrun was there after it, and its memory.
func playWatched(args []string) error {
	var uid uint32
	var kills int
	if _, err := fmt.Sscan(args[0]+" "+args[2], &uid, &kills); err != nil {
		return err
	}
	warmUp, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	every, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	home := map[uint32]string{0: "/root", victim: "/home/victim"}[uid]
	words := append([]string{"--watch"}, erl("-sname", "watched")...)
	cmd := exec.Command(os.Getenv("BUILT"), words...)
	cmd.Env, cmd.Dir = append(os.Environ(), "HOME="+home), home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	var said lockedBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	begin := time.Now()
	ended := make(chan time.Time)
	go func() {
		cmd.Process.Wait() // not its children's pipes
		ended <- time.Now()
	}()
	isThere := func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := epmd.Lookup(ctx, testenv.Loopback(4369), "watched")
		return err == nil
	}
	for !isThere() {
		if time.Since(begin) > 20*time.Second {
			return errors.New("the node did not boot: " + said.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
	var children []byte // any of its threads may have started the node
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", cmd.Process.Pid))
	for _, t := range threads {
		text, _ := os.ReadFile(t)
		children = append(append(children, ' '), text...)
	}
	node := 0
	for _, text := range strings.Fields(string(children)) {
		if name, _ := os.ReadFile("/proc/" + text + "/comm"); string(name) == "beam.smp\n" {
			node, _ = strconv.Atoi(text)
		}
	}
	if node == 0 {
		return fmt.Errorf("no node in %q", children)
	}
	time.Sleep(time.Until(begin.Add(warmUp)))
	for end := time.Now().Add(time.Duration(kills) * every); time.Now().Before(end); {
		next := time.Now().Add(every)
		before := len(said.String())
		pids := pidsOf("epmd")
		at := time.Now()
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		for time.Since(at) < 10*time.Second {
			if answers(200 * time.Millisecond) {
				fmt.Printf("back ms %.1f\n", time.Since(at).Seconds()*1000)
				break
			}
			if new := said.String()[before:]; strings.Contains(new, "beamrun: ") {
				fmt.Printf("said ms %.1f %q\n", time.Since(at).Seconds()*1000, new)
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
		if time.Since(at) >= 10*time.Second {
			fmt.Printf("back ms %.1f\n", time.Since(at).Seconds()*1000)
		}
		time.Sleep(time.Until(next))
	}
	alive := syscall.Kill(node, 0) == nil
	registered := false
	for end := time.Now().Add(5 * time.Second); !registered && time.Now().Before(end); {
		registered = isThere() // OTP tries every 2 s
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Printf("node alive %v registered %v\n", alive, registered)
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	_, memory, _ := bytes.Cut(status, []byte("VmHWM:"))
	memory, _, _ = bytes.Cut(memory, []byte("kB"))
	fmt.Printf("memory KiB %s\n", bytes.TrimSpace(memory))
	at := time.Now()
	syscall.Kill(node, syscall.SIGKILL)
	select {
	case when := <-ended:
		fmt.Printf("ended ms %.1f\n", when.Sub(at).Seconds()*1000)
	case <-time.After(10 * time.Second):
		fmt.Printf("ended ms %.1f\n", time.Since(at).Seconds()*1000)
		cmd.Process.Kill()
	}
	fmt.Printf("said %.3000q\n", said.String())
	return nil
}

// playTakePort binds epmd's port whenever it can, and answers nobody.
func playTakePort(args []string) error {
	os.WriteFile(args[0], nil, 0o644)
	for {
		l, err := net.Listen("tcp", "0.0.0.0:4369")
		if err != nil {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		for { // it keeps what comes
			if _, err := l.Accept(); err != nil {
				return err
			}
		}
	}
}

// playTakeAll keeps all connections that epmd can have.
func playTakeAll(args []string) error {
	os.WriteFile(args[0], nil, 0o644)
	for {
		var conns []net.Conn
		for {
			c, err := net.DialTimeout("tcp", epmdAt, 50*time.Millisecond)
			if err != nil {
				break
			}
			if conns = append(conns, c); len(conns) >= 3000 {
				time.Sleep(20 * time.Millisecond)
				if _, err := c.Write([]byte{0, 1}); err != nil {
					break
				}
				c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				var b [1]byte
				_, err := conns[0].Read(b[:])
				if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					break // that epmd has ended
				}
			}
		}
		for _, c := range conns {
			c.Close()
		}
		time.Sleep(time.Millisecond)
	}
}
