//go:build unix

package launcher

import (
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals by which people and supervisors steer a program. SIGTSTP is not one of
// them: on Ctrl-Z the kernel stops the whole job, this process and the child.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
}

// fromTerminal are those that a terminal sends to every process of the job that has it.
var fromTerminal = []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH}

// reachesChild reports whether the child has got the signal too. A second Ctrl-C would end a node
// that the first one had open its menu. A terminal's signal looks like one that kill(1) sent to
// this process alone while its job has the terminal.
func reachesChild(sig os.Signal) bool { return slices.Contains(fromTerminal, sig) && hasTerminal() }

// hasTerminal reports whether this process is of the job that has the terminal, see tcgetpgrp(3).
// The child is of the same.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	job, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && job == unix.Getpgrp()
}
