package ensure

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/shell"
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
		see := shell.New("ls", "-lL").Path(program).Then(shell.New("chmod", "+x").Path(program))
		return "see that it may be run, and its folders entered: " + see.String()
	case syscall.ENOEXEC:
		return "it is no program, or one for another machine; see: " + shell.New("file").Path(program).String()
	case syscall.ENOENT:
		return "the interpreter that its first line names, or its dynamic loader, is missing; see: " +
			shell.New("head", "-1").Path(program).String()
	case syscall.ELOOP:
		return "it is a link to itself; see: " + shell.New("ls", "-l").Path(program).String()
	}
	return scarcityHint(err)
}

// stoppedHint is for a process that keeps others waiting.
func stoppedHint(p owner.Process) string {
	return fmt.Sprintf("if it is stopped, wake it: %v; else end it: %v",
		shell.New("kill", "-CONT").Int(p.PID), shell.New("kill", "-KILL").Int(p.PID))
}

// listenersOn shows who listens on the port, and clientsOf who has connections to it.
func listenersOn(port int) string {
	return shell.New("ss", "-ltnp").Option("sport = :", strconv.Itoa(port)).String()
}

func clientsOf(port int) string {
	return shell.New("ss", "-tnp").Option("dport = :", strconv.Itoa(port)).String()
}

func errno(err error) (e syscall.Errno) {
	errors.As(err, &e)
	return e
}
