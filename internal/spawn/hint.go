package spawn

import (
	"errors"
	"syscall"

	"github.com/beamrun/beamrun/internal/shell"
)

// ScarcityHint returns what helps with an error of the system whose own words do not say it, or "".
func ScarcityHint(err error) string {
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

// Hint is [ScarcityHint] for an error of starting a program.
func Hint(program string, err error) string {
	switch errno(err) {
	case syscall.EACCES:
		see := shell.New("ls", "-lL").Path(program).Then(shell.New("chmod", "+x").Path(program))
		return "see that it may be run, and its directories entered: " + see.String()
	case syscall.ENOEXEC:
		return "it is no program, or one for another machine; see: " +
			shell.New("file").Path(program).String()
	case syscall.ENOENT:
		return "the interpreter that its first line names, or its dynamic loader, is missing;" +
			" see: " + shell.New("head", "-1").Path(program).String()
	case syscall.ELOOP:
		return "it is a link to itself; see: " + shell.New("ls", "-l").Path(program).String()
	}
	return ScarcityHint(err)
}

func errno(err error) (e syscall.Errno) {
	errors.As(err, &e)
	return e
}
