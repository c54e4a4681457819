package ensure_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// For 20 seconds 50 callers ensure while epmd is killed over and over. Each call ends in its time,
// with an epmd that answers or an error with a kind; then one more call leaves exactly one epmd.
func TestChaos(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	var spawned func() int
	c.Program, spawned = testenv.Counting(t)
	c.Timeout = 5 * time.Second
	end := time.Now().Add(20 * time.Second)

	// A success may be followed by a kill, and NAMES by a refusal. So a refusal counts as a false
	// success only when no kill came near: kills is odd while one is under way, and the same before
	// the call and after NAMES without one.
	var kills, started atomic.Int64 // and the pid that was started last
	var calls, successes, afterKill, falseSuccesses atomic.Int64
	var mu sync.Mutex
	kinds := map[ensure.Kind]int{}

	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for time.Now().Before(end) {
				before, begin := kills.Load(), time.Now()
				res, err := ensure.Epmd(t.Context(), c)
				if took := time.Since(begin); took > c.Timeout+time.Second {
					t.Errorf("a call took %v", took)
				}
				calls.Add(1)
				if err == nil {
					successes.Add(1)
					if res.Started {
						started.Store(int64(res.PID))
					}
					if _, err := epmd.Names(t.Context(), res.Address); err != nil {
						if before%2 == 0 && kills.Load() == before {
							falseSuccesses.Add(1)
							t.Errorf("%+v, but: %v", res, err)
						}
						afterKill.Add(1)
					}
				} else if e := new(ensure.Error); errors.As(err, &e) {
					mu.Lock()
					kinds[e.Kind]++
					mu.Unlock()
				} else {
					t.Errorf("an error without a kind: %v", err)
				}
				time.Sleep(rand.N(2 * time.Millisecond))
			}
		})
	}
	for time.Now().Before(end) {
		time.Sleep(rand.N(50 * time.Millisecond))
		if pid := int(started.Swap(0)); pid != 0 {
			kills.Add(1)
			syscall.Kill(pid, syscall.SIGKILL)
			for len(testenv.Stat(pid)) > 0 {
				time.Sleep(100 * time.Microsecond)
			}
			kills.Add(1)
		}
	}
	wg.Wait()

	mustEnsure(t, c)
	survivors := len(children(t))
	t.Logf("kills %d, calls %d, successes %d (%d of them with a kill before NAMES), errors %v,"+
		" false successes %d, spawned epmds %d, survivors %d",
		kills.Load()/2, calls.Load(), successes.Load(), afterKill.Load(), kinds,
		falseSuccesses.Load(), spawned(), survivors)
	if n := kinds[ensure.KindForeign] + kinds[ensure.KindHung]; n != 0 {
		t.Errorf("an epmd that was being killed was taken for something else %d times", n)
	}
	// behind the lock; a tenth for those that a kill met before they answered, or that found the
	// port not yet free
	if n, most := int64(spawned()), kills.Load()/2*11/10+5; n > most {
		t.Errorf("%d epmds were spawned, at most %d were needed", n, most)
	}
	if falseSuccesses.Load() != 0 || survivors != 1 ||
		successes.Load() < 1000 || kills.Load() < 10 {
		t.Error("a false success, not one survivor, or nothing was tested")
	}
}
