// Package launcher starts Erlang and Elixir programs: erl, iex, elixir, mix, rebar3, a release's
// start script, or any other.
//
// The program's own arguments are passed on untouched. What the launcher adds travels in the
// environment, and only what the Config asks for: ERL_EPMD_PORT and ERL_EPMD_ADDRESS, ERL_AFLAGS,
// ERL_ZFLAGS, and BEAMRUN_COOKIE for a cookie. So a cookie never stands in an argument list, which
// every user of the host can read.
package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/beamrun/beamrun/ensure"
)

// Config is what to run. Program is all that is needed.
type Config struct {
	// Program is a path, or a name that is looked up on PATH.
	Program string

	// Args are the program's, without its own name.
	Args []string

	// Dir is the working directory. Empty: the caller's. Exec ignores it.
	Dir string

	// Env is what the program gets beside what the launcher adds, as KEY=VALUE. Nil: the caller's
	// environment. The program never gets BEAMRUN_SECRET (cookie.SecretVar): with it a node could
	// derive the cookie of every label.
	Env []string

	// Endpoint is the epmd that the program shall use, as ensure.Epmd returns it. The zero value
	// leaves the program's environment as it is. A port that nobody chose (Implied) is not set
	// either: a program may have its own, see [EpmdPort]. Where this process is PID 1, the first of
	// a container, the program's nodes start no epmd of their own either (-start_epmd false), for
	// that leaves defunct processes there.
	Endpoint ensure.Endpoint

	// Local makes the program's nodes accept connections on the loopback interface only (kernel's
	// inet_dist_use_interface): on [::1] when the arguments or the environment ask for distribution
	// over IPv6, else on 127.0.0.1. Where they set that parameter themselves, theirs stays. For an
	// epmd on loopback only, see ensure.Config.
	//
	// Other nodes find such a node only by a name whose host is 127.0.0.1 to them: NAME@localhost.
	Local bool

	// DistPort are the ports on which the program's nodes listen for others, for a firewall: each
	// takes the first that is free. One that only visits another node (-remsh, or a release's
	// command remote or rpc) needs none. None: any port.
	DistPort Ports

	// Epmdless makes the program's nodes do without epmd, and start none.
	//
	// With a DistPort of one port, all nodes that they connect to listen on that port too, each at
	// an address of its own, as in containers: OTP can do that by itself (-erl_epmd_port, from 27.2
	// on kernel's erl_epmd_node_listen_port). A script that reads ERL_DIST_PORT, as relx's and
	// ejabberdctl do, gets the port in that variable instead; for any other program it is taken
	// away, for of two ports OTP takes neither. The program's Erlang has to be of OTP 23.1 or
	// later.
	//
	// Else each has a port of its own, and nodes of this user on this host find each other as
	// package epmdless says; others are looked for among the Peers, and then as OTP does, by the
	// epmd of their host. USE_NODETOOL is set to 1 where it is not set and the program is a script
	// that reads it: without it relx's asks the node by erl_call, which asks epmd.
	//
	// Where the arguments or the environment already name such a port or an -epmd_module, theirs
	// stays. So does the -epmd_module of a node that the program starts; an -erl_epmd_port of such
	// a node has no effect.
	Epmdless bool

	// Peers are nodes elsewhere, for Epmdless without a port for all, each as NAME@HOST=PORT, with
	// the HOST that other nodes use. See [CheckPeer].
	Peers []string

	// PeersFile has a line for each of more such peers. Nodes read it whenever they look for one.
	// See [CheckPeersFile].
	PeersFile string

	// Cookie is set as the program's own, see the package comment of cookie for where to get one.
	// It reaches a node that has its name when it boots (-sname, --sname, -name, --name), a few
	// milliseconds after its distribution started; until then it holds the cookie of the user's
	// file. Empty: the program keeps to the user's file. Where the arguments or the environment
	// already give a cookie, see [GivesCookie], that one wins, and so does a
	// -setcookie that only the node sees, as in a release's vm.args.
	//
	// A remote shell connects too soon for that. Where Args ask for one (-remsh, --remsh), the
	// program is instead given another HOME: a directory that only this user can enter, with this
	// cookie's file and links to the settings in the real HOME, which is what os:getenv("HOME")
	// still returns in the node; init:get_argument(home) returns the directory. Not on Windows,
	// where Erlang does not read HOME.
	Cookie string

	// Warn is told, in one line, what could not be done as it should; the program runs all the
	// same. Nil: nobody is.
	Warn func(string)
}

// Child is what [Run] does for a program that runs as a child of this process. The zero value is
// right for most.
type Child struct {
	// Stdin, Stdout and Stderr are the program's. Nil: this process's own.
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	// Forward passes on to the program the signals that this process gets: SIGHUP, SIGINT,
	// SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 and SIGWINCH, but none that this process ignores. A
	// terminal's own (Ctrl-C) reach the program by themselves, and so does job control (Ctrl-Z,
	// fg): it is of the same job. On Linux the program is killed when this process ends before it,
	// by SIGKILL. On Windows this process only ignores Ctrl-C.
	Forward bool

	// While runs beside the program; its context ends with the program. Run waits at most 50 ms
	// for its end, so it may still run when Run has returned. Nil: nothing runs beside it. With
	// [github.com/beamrun/beamrun/ensure/watch.Run] in it, an epmd is kept alive.
	While func(context.Context)
}

// Command returns the command, resolved but not started, with the input and output of this process.
// The error wraps exec.ErrNotFound or fs.ErrNotExist if there is no such program, and anything else
// if it is there and can't be run.
func Command(ctx context.Context, c Config) (*exec.Cmd, error) {
	path, err := exec.LookPath(c.Program)
	if err != nil {
		return nil, fmt.Errorf("launcher: %w", err) // exec.Error, which names the program
	}
	cmd := exec.CommandContext(ctx, path, c.Args...)
	cmd.Args[0] = c.Program
	cmd.Dir = c.Dir
	if cmd.Env, err = c.environ(); err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd, nil
}

// Run runs the program as a child until it ends, and returns its exit code: 128 and the signal's
// number if a signal ended it. The context's end kills it. The error is that of [Command], or why
// it could not be started or waited for; an exit code other than 0 is no error.
func Run(ctx context.Context, c Config, child Child) (code int, err error) {
	cmd, err := Command(ctx, c)
	if err != nil {
		return 0, err
	}
	if child.Stdin != nil {
		cmd.Stdin = child.Stdin
	}
	if child.Stdout != nil {
		cmd.Stdout = child.Stdout
	}
	if child.Stderr != nil {
		cmd.Stderr = child.Stderr
	}
	started := func(*os.Process) {}
	if child.Forward {
		defer dieWithUs(cmd)()
		var stop func()
		started, stop = forward()
		defer stop()
	}
	if err = cmd.Start(); err != nil {
		return 0, fmt.Errorf("launcher: %w", err)
	}
	started(cmd.Process)
	if child.While != nil {
		defer beside(ctx, child.While)()
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exitCode(exit.ProcessState), nil
	case err != nil:
		return 0, fmt.Errorf("launcher: %w", err)
	}
	return 0, nil
}

// beside runs f until stop is called.
func beside(ctx context.Context, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	return func() {
		cancel()
		select {
		case <-done:
		case <-time.After(parting):
		}
	}
}

// parting is how long the end of While is waited for once the program has ended.
const parting = 50 * time.Millisecond

// Exec turns this process into the program: the same pid, terminal, job and descriptors, and
// nothing of the caller is left. It returns only if that fails. Windows has no such call: there the
// error is [errors.ErrUnsupported].
//
// Children of this process become the program's. So don't call it after ensure.Epmd has started a
// daemon in this process: the program would never learn of the daemon's end, and leave a zombie.
func Exec(c Config) error {
	cmd, err := Command(context.Background(), c)
	if err != nil {
		return err
	}
	return fmt.Errorf("launcher: %s: %w", cmd.Path, execve(cmd.Path, cmd.Args, cmd.Env))
}

func (c Config) environ() (_ []string, err error) {
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	env = withoutSecret(env)
	if c.Endpoint.Port != 0 {
		if c.Endpoint.Implied && value(env, epmdPortVar) == "" {
			env = without(env, epmdPortVar) // with an empty one, a node fails to boot
		}
		env = with(env, c.Endpoint.Env()...)
		if os.Getpid() == 1 {
			env = withoutOwnEpmd(env)
		}
	}
	if c.Local {
		env = c.withLocal(env)
	}
	switch {
	case c.Epmdless:
		if env, err = c.withEpmdless(env); err != nil {
			return nil, err
		}
	case c.DistPort != (Ports{}):
		env = c.withDistPort(env)
	}
	if c.Cookie != "" && !GivesCookie(c.Args, env) {
		env = c.withCookie(env)
	}
	return env, nil
}
