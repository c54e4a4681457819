// Package fair does work that users of the host ask for, or that their processes can slow down, so that no user keeps another waiting.
package fair

import "sync"

// Limits are how many pieces of work are done at once: of one user, and of all together.
type Limits struct{ Each, All int }

// Do calls do for each i from 0 to n-1, several at a time but few for each user, and returns when all have returned. do has to end by a
// deadline of its own.
func (l Limits) Do(n int, user func(i int) int, do func(i int)) {
	work := map[int][]int{}
	for i := range n {
		work[user(i)] = append(work[user(i)], i)
	}
	slots := make(chan struct{}, l.All)
	var wg sync.WaitGroup
	for _, mine := range work {
		next := make(chan int, len(mine))
		for _, i := range mine {
			next <- i
		}
		close(next)
		for range min(l.Each, len(mine)) {
			wg.Go(func() {
				for i := range next {
					slots <- struct{}{}
					do(i)
					<-slots
				}
			})
		}
	}
	wg.Wait()
}
