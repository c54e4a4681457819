package ensure

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/beamrun/beamrun/ensure/internal/owner"
)

// scarcityHint says what mends an error of the system whose own words don't say it, or "".
func scarcityHint(err error) string {
	switch errno(err) {
	case syscall.EMFILE:
		return "this process may open no more files; see its limit: ulimit -n"
	case syscall.ENFILE:
		return "the whole system may open no more files; see its limit: sysctl fs.file-max"
	case syscall.EAGAIN:
		return "this user may start no more processes; see the limit: ulimit -u"
	case syscall.ENOMEM:
		return "the system has no memory left for it"
	case syscall.EPERM, syscall.EACCES:
		return "a firewall, a sandbox or a seccomp filter forbids it"
	}
	return ""
}

// programHint is scarcityHint for an error of starting a program.
func programHint(program string, err error) string {
	switch errno(err) {
	case syscall.EACCES:
		return fmt.Sprintf("see that it may be run, and its folders entered: ls -lL %s; chmod +x %[1]s", program)
	case syscall.ENOEXEC:
		return "it is no program, or one for another machine; see: file " + program
	case syscall.ENOENT:
		return "the interpreter that its first line names, or its dynamic loader, is missing; see: head -1 " + program
	case syscall.ELOOP:
		return "it is a link to itself; see: ls -l " + program
	}
	return scarcityHint(err)
}

// stoppedHint is for a process that keeps others waiting.
func stoppedHint(p owner.Process) string {
	return fmt.Sprintf("if it is stopped, wake it: kill -CONT %d; else end it: kill -KILL %[1]d", p.PID)
}

func errno(err error) (e syscall.Errno) {
	errors.As(err, &e)
	return e
}
