//go:build attacks

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

func init() { attacks["measure"] = measure }

const (
	// memoryBudget is what a command of beamrun may take, whatever neighbours do; far above it the
	// measured one is ended, for the machine's sake.
	memoryBudget = 64 << 10 // KiB
	memoryLimit  = 256 << 10

	// timeBudget is the --timeout of what is measured, and timeLeeway how much later it may end.
	timeBudget = 2 * time.Second
	timeLeeway = 500 * time.Millisecond
)

// measured is a run of beamrun: memory is the peak of its own process in KiB.
type measured struct {
	user, command string
	code, memory  int
	took          time.Duration
	said          string
}

// measure is "measure UID… -- COMMAND…": it runs beamrun with each COMMAND (words by spaces) as
// each user, one user beside the other, and prints a line for each run.
func measure(args []string) error {
	var users sync.WaitGroup
	var mu sync.Mutex
	for i, user := range args {
		if user == "--" {
			users.Wait()
			return nil
		}
		var uid uint32
		if _, err := fmt.Sscan(user, &uid); err != nil {
			return err
		}
		_, commands, _ := strings.Cut(strings.Join(args[i:], "\n"), "\n--\n")
		users.Go(func() {
			for command := range strings.SplitSeq(commands, "\n") {
				m := measureOne(uid, strings.Fields(command))
				mu.Lock()
				fmt.Printf("measured\t%d\t%s\t%d\t%d\t%d\t%.300q\n", uid, command,
					m.code, m.memory, m.took.Microseconds(), m.said)
				mu.Unlock()
			}
		})
	}
	return nil
}

func measureOne(uid uint32, words []string) (m measured) {
	home := map[uint32]string{0: "/root", mallory: "/home/mallory", victim: "/home/victim"}[uid]
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	words = append([]string{"--timeout", timeBudget.String()}, words...)
	cmd := exec.CommandContext(ctx, os.Getenv("BUILT"), words...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = append(os.Environ(), "HOME="+home), home, 100*time.Millisecond
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return measured{code: -1, said: err.Error()}
	}
	ended := make(chan bool)
	go func() {
		cmd.Wait()
		m.took = time.Since(begin)
		close(ended)
	}()
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	buf := make([]byte, 4096)
	for running := err == nil; running; {
		select {
		case <-ended:
			running = false
		case <-time.After(500 * time.Microsecond):
			n, _ := status.ReadAt(buf, 0)
			if _, after, ok := bytes.Cut(buf[:n], []byte("VmHWM:")); ok {
				kib := 0
				fmt.Sscan(string(after), &kib)
				if m.memory = max(m.memory, kib); kib > memoryLimit {
					cmd.Process.Kill()
				}
			}
		}
	}
	<-ended
	status.Close()
	if m.memory == 0 { // it was quicker than a look; this counts its parent's before the exec too
		m.memory = int(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	}
	m.code, m.said = cmd.ProcessState.ExitCode(), out.String()
	return m
}
