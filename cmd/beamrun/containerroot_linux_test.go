package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// erlangRoot is where this machine's Erlang is (ROOTDIR), in a container too.
func erlangRoot() string {
	erl, _ := exec.LookPath("erl")
	erl, _ = filepath.EvalSymlinks(erl)
	return filepath.Dir(filepath.Dir(erl))
}

// erlangBin is the directory of its virtual machine (BINDIR).
func erlangBin() string {
	dirs, _ := filepath.Glob(erlangRoot() + "/erts-*/bin")
	return append(dirs, "")[0]
}

// smallRoot makes what an image FROM scratch would hold: beamrun, epmd and what a node needs to
// boot. No shell, no ps, no user with a name.
var smallRoot = sync.OnceValues(func() (string, error) {
	beamrun, err := builtBeamrun()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(beamrun), "root")
	for _, name := range []string{"bin", "dev", "etc", "home", "proc", "tmp"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	err = errors.Join(err,
		os.Link(beamrun, filepath.Join(dir, "bin/beamrun")),
		os.WriteFile(filepath.Join(dir, "dev/null"), nil, 0o644),
		os.WriteFile(filepath.Join(dir, "etc/hosts"), []byte("127.0.0.1 localhost box\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "home/.erlang.cookie"), []byte("fromimage"), 0o400),
		os.Chown(filepath.Join(dir, "home/.erlang.cookie"), alice, alice))

	var programs []string
	for _, name := range []string{"beam.smp", "epmd", "erl_child_setup", "erlexec", "inet_gethost"} {
		programs = append(programs, filepath.Join(erlangBin(), name))
	}
	libraries, lddErr := exec.Command("ldd", programs...).Output()
	args := append([]string{"-rL", "--parents", "-t", dir}, programs...)
	for _, m := range regexp.MustCompile(`(?m)(/\S+) \(`).FindAllSubmatch(libraries, -1) {
		args = append(args, string(m[1]))
	}
	for _, pattern := range []string{"bin/start*.boot", "lib/kernel-*/ebin", "lib/stdlib-*/ebin"} {
		found, _ := filepath.Glob(filepath.Join(erlangRoot(), pattern))
		args = append(args, found...)
	}
	if out, err := exec.Command("cp", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, errors.Join(err, lddErr)
})

func init() { testCommands["container"] = becomeContainer }

// becomeContainer is what a container engine's runtime does last, in the process that becomes PID
// 1: container ROOT UID [TMPFS...] -- PROGRAM [ARG...]. Its parent has made the namespaces.
func becomeContainer() {
	root, uid, args := os.Args[1], os.Args[2], os.Args[3:]
	must := func(err error) {
		if err != nil {
			log.Fatalf("container: %v", err)
		}
	}
	mount := func(source, target, kind string, flags uintptr) {
		must(os.NewSyscallError("mount "+target, unix.Mount(source, target, kind, flags, "")))
	}
	mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC)
	mount(root, "/mnt", "", unix.MS_BIND|unix.MS_REC)
	mount("/dev/null", "/mnt/dev/null", "", unix.MS_BIND)
	mount("proc", "/mnt/proc", "proc", 0)
	for ; args[0] != "--"; args = args[1:] {
		mount("tmpfs", "/mnt"+args[0], "tmpfs", 0)
	}
	mount("", "/mnt", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY)
	must(os.Chdir("/mnt"))
	must(unix.PivotRoot(".", ".")) // the old root lies over the new one now, see pivot_root(2)
	must(unix.Unmount(".", unix.MNT_DETACH))
	must(os.Chdir("/"))

	must(unix.Sethostname([]byte("box")))
	must(loopbackUp())
	id, err := strconv.Atoi(uid)
	must(err)
	must(errors.Join(syscall.Setgroups(nil), syscall.Setgid(id), syscall.Setuid(id)))
	runtime.LockOSThread() // the next one is of the thread
	must(unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0))
	program, err := exec.LookPath(args[1])
	must(err)
	must(syscall.Exec(program, args[1:], os.Environ()))
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	lo, _ := unix.NewIfreq("lo")
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
