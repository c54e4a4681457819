package owner

import (
	"os"
	"testing"
)

// However many sockets other users have, all together are bounded, and those of who has few are
// kept, and this user's own.
func TestBoundedSockets(t *testing.T) {
	me := os.Geteuid()
	counts := map[int]int{me: 5000, me + 1: 3}
	for uid := me + 2; uid < me+32; uid++ {
		counts[uid] = 20000
	}
	walk := func(each func(Socket)) error {
		for uid := me + 31; uid > me; uid-- { // the ones who have many come first
			for range counts[uid] {
				each(Socket{UID: uid})
			}
		}
		for range counts[me] {
			each(Socket{UID: me})
		}
		return nil
	}
	sockets, err := bounded(walk)
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]int{}
	for _, s := range sockets {
		got[s.UID]++
	}
	if got[me] != 5000 || got[me+1] != 3 || got[me+2] < 1000 || got[me+2] != got[me+31] || len(sockets) > maxOfOthers+maxSockets {
		t.Errorf("%d: %v", len(sockets), got)
	}
}
