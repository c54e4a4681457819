package fair

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// All is done once, and a user with much slow work does not keep another one waiting.
func TestDo(t *testing.T) {
	const slow, quick = 130, 20
	var done [slow + quick]atomic.Int32
	var last atomic.Int64 // of the quick ones
	var atOnce, most int
	var mu sync.Mutex
	count := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		atOnce += n
		most = max(most, atOnce)
	}
	begin := time.Now()
	limits := Limits{Each: 8, All: 64}
	limits.Do(slow+quick, func(i int) int { return min(i/slow, 1) }, func(i int) {
		done[i].Add(1)
		if i < slow {
			count(1)
			time.Sleep(20 * time.Millisecond)
			count(-1)
		} else {
			last.Store(int64(time.Since(begin)))
		}
	})
	for i := range done {
		if n := done[i].Load(); n != 1 {
			t.Errorf("%d was done %d times", i, n)
		}
	}
	if took := time.Duration(last.Load()); took > 20*time.Millisecond {
		t.Errorf("the quick user's work took %v", took)
	}
	if most > limits.Each {
		t.Errorf("%d of one user at once", most)
	}
	limits.Do(0, nil, nil)
}
