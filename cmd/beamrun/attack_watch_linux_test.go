//go:build attacks

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

const attacked = "127.0.0.1:4369"

func init() {
	attacks["register"] = attackRegister
	attacks["hold"] = attackHold
	attacks["bind"] = attackBind
	attacks["killed"] = killEpmd
}

// attackFor runs attack again and again for as long as args[0] says.
func attackFor(args []string, attack func(ctx context.Context)) error {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for ctx.Err() == nil {
		attack(ctx)
		time.Sleep(time.Millisecond)
	}
	return nil
}

// dropping is a port that drops SYNs: its backlog is full, so a connection takes for ever.
func dropping() (port int, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{}), unix.Listen(fd, 0)); err != nil {
		return 0, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	port = name.(*unix.SockaddrInet4).Port
	for range 3 {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return 0, err
		}
		unix.Connect(c, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	return port, nil
}

// attackRegister has 400 names for a port that drops SYNs, then none, and keeps the port: register
// DURATION.
func attackRegister(args []string) error {
	port, err := dropping()
	if err != nil {
		return err
	}
	held := map[int]net.Conn{}
	err = attackFor(args, func(ctx context.Context) {
		for i := range 400 {
			if held[i] != nil {
				held[i].SetReadDeadline(time.Now().Add(time.Microsecond))
				_, err := held[i].Read(make([]byte, 16))
				if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					continue
				}
				held[i].Close()
				delete(held, i)
			}
			if c, err := net.Dial("tcp", attacked); err == nil {
				name := fmt.Sprintf("fake%d", i)
				request := []byte{0, byte(13 + len(name)), 'x', byte(port >> 8), byte(port), 'M',
					0, 0, 6, 0, 5, 0, byte(len(name))}
				c.Write(append(append(request, name...), 0, 0))
				held[i] = c
			}
		}
		time.Sleep(20 * time.Millisecond)
	})
	for _, c := range held {
		c.Close()
	}
	time.Sleep(time.Minute) // the port stays
	return err
}

// attackHold has as many connections as epmd may have, and makes each anew when it is lost: hold
// DURATION.
func attackHold(args []string) error {
	for range 1020 {
		go attackFor(args, func(ctx context.Context) {
			if c, err := net.Dial("tcp", attacked); err == nil {
				defer c.Close()
				c.Write([]byte{0}) // not even a whole length
				end, _ := ctx.Deadline()
				c.SetReadDeadline(end)
				c.Read(make([]byte, 1))
			}
		})
	}
	return attackFor(args, func(context.Context) {})
}

// attackBind takes the port as soon as it is free and says nothing there for 1.5 s: bind DURATION.
func attackBind(args []string) error {
	return attackFor(args, func(context.Context) {
		l, err := net.Listen("tcp4", "0.0.0.0:4369")
		if err != nil {
			return
		}
		time.Sleep(1500 * time.Millisecond)
		l.Close()
		os.Exit(0)
	})
}

var stateLine = regexp.MustCompile(
	`(?m)^beamrun: epmd (on \S+: (foreign|hung|timeout|spawn)|was gone|on \S+: answers again)`)

// killEpmd kills epmd and prints after how many ms there is one that answers, or it is said in a
// file what is wrong: killed FILE.
func killEpmd(args []string) error {
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if pid := testenv.PID(4369); pid != 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return err
			}
			break
		}
		if time.Since(begin) > 10*time.Second {
			return errors.New("no epmd")
		}
	}
	begin := time.Now()
	for time.Since(begin) < 30*time.Second {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		_, err := epmd.Names(ctx, testenv.Loopback(4369))
		cancel()
		if err == nil {
			fmt.Printf("answers after %d ms\n", time.Since(begin).Milliseconds())
			return nil
		}
		text, _ := os.ReadFile(args[0])
		all := stateLine.FindAllStringSubmatch(string(text), -1)
		if len(all) > 0 && all[len(all)-1][2] != "" {
			fmt.Printf("is said after %d ms: %s\n",
				time.Since(begin).Milliseconds(), all[len(all)-1][2])
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("neither an answer nor a word within 30 s")
}

// Other users flood epmd with names, hold all its connections, and take its port: it is back within
// a second, or that is said, and beamrun ends with its program.
func TestAttackWatch(t *testing.T) {
	const late, over = 1000, 100 // ms
	var mu sync.Mutex
	var overs []int
	t.Cleanup(func() { // when all of them have ended
		slices.Sort(overs)
		if n := len(overs); n > 0 {
			t.Logf("%d runs ended %d ms (median), %d ms (most) after their programs",
				n, overs[n/2], overs[n-1])
			if overs[n/2] > over || overs[n-1] > 5*over { // on a busy machine one may be late
				t.Error("too late")
			}
		}
	})
	for _, who := range []string{"root", "victim"} {
		for name, attack := range map[string]struct {
			script string
			kills  int
			during string // how long the program runs, in s
		}{
			"names": {`
				mallory "$ATTACK" register 7s &
				sleep 18 # until who listens there is looked for
				kills 5`, 5, "24"},
			"names and kills": {`
				mallory "$ATTACK" register 9s &
				sleep 2; kills 5`, 5, "11"},
			"connections": {`
				for i in 1 2 3; do
					mallory "$ATTACK" hold 2s &
					sleep 0.7; kills 1; wait $!; await "$BUILT" -q names
				done`, 3, "14"},
			"port": {`
				for i in 1 2 3; do
					mallory "$ATTACK" bind 5s &
					sleep 0.5; kills 1; wait $!; await "$BUILT" -q names
				done`, 3, "26"},
		} {
			t.Run(who+"/"+name, func(t *testing.T) {
				t.Parallel()
				out := neighbours(t, `
					root() { "$@"; }
					kills() {
						for k in $(seq "$1"); do
							"$ATTACK" killed /tmp/said; [ "$1" = 1 ] || sleep 0.9
						done
					}
					touch /tmp/said; chmod 666 /tmp/said
					{
						`+who+` "$BUILT" --watch \
							sh -c 'sleep `+attack.during+`; date +%s%N >/tmp/ended' 2>/tmp/said
						date +%s%N >/tmp/left
					} &
					watched=$!
					await "$BUILT" -q names
					sleep 0.5
					`+attack.script+`
					wait $watched
					echo "over by $((($(cat /tmp/left) - $(cat /tmp/ended)) / 1000000)) ms"
					sed 's/^/said: /' /tmp/said`)
				t.Log(out)
				var took []int
				after := regexp.MustCompile(`(?m)after (\d+) ms`)
				for _, m := range after.FindAllStringSubmatch(out, -1) {
					ms, _ := strconv.Atoi(m[1])
					took = append(took, ms)
				}
				if len(took) != attack.kills {
					t.Fatalf("%d kills were measured, want %d", len(took), attack.kills)
				}
				slices.Sort(took)
				most := took[len(took)-1]
				t.Logf("%d kills: it answers, or is said not to, after %d ms (median), "+
					"%d ms (most)", len(took), took[len(took)/2], most)
				if most > late {
					t.Error("too late")
				}
				m := regexp.MustCompile(`over by (\d+) ms`).FindStringSubmatch(out)
				if m == nil {
					t.Fatal("it did not end")
				}
				ms, _ := strconv.Atoi(m[1])
				mu.Lock()
				overs = append(overs, ms)
				mu.Unlock()
				if strings.Contains(out, "said: beamrun: fake") {
					t.Error("it reported another user's names")
				}
			})
		}
	}
}
