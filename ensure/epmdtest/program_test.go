package epmdtest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// The test binary is the program epmd where that is its name, so that tests of others can be run on
// this package's server:
//
//	go test -c -o epmd ./ensure/epmdtest && ./epmd -port 4711 -packet_timeout 1
func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); name == "epmd" || name == "epmd.exe" {
		os.Exit(epmdProgram(os.Args[1:]))
	}
	m.Run()
}

// epmdProgram is epmd(1), as far as tests need it: the daemon in the foreground, and -names.
func epmdProgram(args []string) int {
	port, host, list := os.Getenv("ERL_EPMD_PORT"), "0.0.0.0", false
	var faults []Fault
	for i := 0; i < len(args); i++ {
		next := func() string {
			if i++; i < len(args) {
				return args[i]
			}
			return ""
		}
		seconds := func() time.Duration {
			n, _ := strconv.Atoi(next())
			return time.Duration(n) * time.Second
		}
		switch args[i] {
		case "-d", "-debug":
		case "-names":
			list = true
		case "-port":
			port = next()
		case "-address":
			host = next()
		case "-packet_timeout":
			faults = append(faults, PacketTimeout(seconds()))
		case "-delay_write":
			faults = append(faults, DelayWrite(seconds()))
		case "-relaxed_command_check":
			faults = append(faults, Relaxed)
		default:
			fmt.Fprintln(os.Stderr, "epmd of epmdtest: no such option:", args[i])
			return 1
		}
	}
	if port == "" {
		port = "4369"
	}
	if list {
		return printNames(port)
	}
	code := make(chan int, 1)
	go func() { // Listen ends this goroutine if it fails
		defer func() { code <- 1 }()
		<-Listen(&programTB{}, net.JoinHostPort(host, port), faults...).Done()
		code <- 0
	}()
	return <-code
}

func printNames(port string) int {
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, "epmd: Cannot connect to local epmd")
		return 1
	}
	defer c.Close()
	c.Write([]byte{0, 1, 'n'})
	reply, err := io.ReadAll(c)
	if err != nil || len(reply) < 4 {
		return 1
	}
	fmt.Printf("epmd: up and running on port %s with data:\n%s", port, reply[4:])
	return 0
}

// programTB is what a Server needs of a test, outside of one.
type programTB struct{ testing.TB }

func (programTB) Helper()        {}
func (programTB) Cleanup(func()) {}
func (programTB) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	runtime.Goexit()
}

// ourEpmd puts that program into a directory.
func ourEpmd(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "epmd")
	if err := os.Symlink(self, path); err != nil {
		t.Skip(err) // Windows, where not everybody may
	}
	return path
}

// startProgram starts an epmd, and waits until it answers.
func startProgram(t *testing.T, path string, args ...string) (port uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	cmd := exec.Command(path, append([]string{"-port", fmt.Sprint(addr.Port()), "-address", "127.0.0.1"}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	testenv.Eventually(t, "epmd answers", func() bool {
		_, err := epmd.Ping(t.Context(), addr)
		return err == nil
	})
	return addr.Port()
}

// each runs a test on the program of this package, and on the real one where there is one.
func each(t *testing.T, test func(t *testing.T, path string)) {
	t.Parallel()
	t.Run("ours", func(t *testing.T) { t.Parallel(); test(t, ourEpmd(t)) })
	if path, err := exec.LookPath("epmd"); err == nil {
		t.Run("real", func(t *testing.T) { t.Parallel(); test(t, path) })
	}
}

func TestProgram(t *testing.T) {
	each(t, func(t *testing.T, path string) {
		port := startProgram(t, path)
		addr := testenv.Loopback(port)
		c := dial(t, addr)
		c.Write(alive("alice"))
		if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(path, "-port", fmt.Sprint(port), "-names").Output()
		if want := fmt.Sprintf("epmd: up and running on port %d with data:\nname alice at port 40001\n", port); err != nil || string(out) != want {
			t.Errorf("%q, %v", out, err)
		}
	})
}

// An idle connection ends after the time of -packet_timeout: the real epmd looks once in that time.
func TestPacketTimeout(t *testing.T) {
	each(t, func(t *testing.T, path string) {
		c := dial(t, testenv.Loopback(startProgram(t, path, "-packet_timeout", "1")))
		begin := time.Now()
		n, err := c.Read(make([]byte, 1))
		if took := time.Since(begin); n != 0 || err != io.EOF || took < 900*time.Millisecond || took > 5*time.Second {
			t.Errorf("%d bytes, %v after %v", n, err, took)
		}
	})
}

// With -delay_write the whole daemon waits before each reply.
func TestDelayWrite(t *testing.T) {
	each(t, func(t *testing.T, path string) {
		addr := testenv.Loopback(startProgram(t, path, "-delay_write", "1"))
		begin := time.Now()
		took := make(chan time.Duration, 2)
		for range 2 {
			c := dial(t, addr)
			c.Write([]byte("\x00\x02zx"))
			go func() {
				reply, err := io.ReadAll(c)
				if err != nil || !bytes.Equal(reply, []byte{'w', 1}) {
					t.Errorf("%q, %v", reply, err)
				}
				took <- time.Since(begin)
			}()
		}
		times := []time.Duration{<-took, <-took}
		slices.Sort(times)
		if times[0] < 900*time.Millisecond || times[1] < 1900*time.Millisecond || times[1] > 8*time.Second {
			t.Error(times)
		}
	})
}

// The end does not wait for a reply that is delayed.
func TestDelayedEnd(t *testing.T) {
	s := New(t, DelayWrite(time.Hour))
	c := dial(t, s.Addr())
	io.Copy(c, strings.NewReader("\x00\x01n"))
	time.Sleep(50 * time.Millisecond)
	begin := time.Now()
	s.Close()
	if took := time.Since(begin); took > 5*time.Second {
		t.Error(took)
	}
}
