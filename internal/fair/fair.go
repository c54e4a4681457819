// Package fair does work that users of the host ask for, or that their processes can slow down, so
// that no user keeps another waiting.
package fair

import (
	"os"
	"sync"
)

// Limits are how many pieces of work are done at once: of one user, and of all others than the one
// who has it done together.
type Limits struct{ Each, All int }

// Do calls do for each i from 0 to n-1, several at a time but few for each user, and returns when
// all have returned. do has to end by a deadline of its own.
func (l Limits) Do(n int, user func(i int) int, do func(i int)) {
	work := map[int][]int{}
	for i := range n {
		work[user(i)] = append(work[user(i)], i)
	}
	me, slots := os.Geteuid(), make(chan struct{}, l.All)
	// so each user has a slot, up to as many users as slots
	each := min(l.Each, max(1, l.All/max(1, len(work))))
	var wg sync.WaitGroup
	for who, mine := range work {
		next := make(chan int, len(mine))
		for _, i := range mine {
			next <- i
		}
		close(next)
		take, give := func() { slots <- struct{}{} }, func() { <-slots }
		atOnce := each
		if who == me { // neither waits for the other
			take, give, atOnce = func() {}, func() {}, l.Each
		}
		for range min(atOnce, len(mine)) {
			wg.Go(func() {
				for i := range next {
					take()
					do(i)
					give()
				}
			})
		}
	}
	wg.Wait()
}
