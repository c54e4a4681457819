package ensure_test

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/internal/testenv"
)

// dialNames is what the budget compares with: a dial and NAMES in plain Go.
func dialNames(port uint16) error {
	conn, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{0, 1, 'n'}); err != nil {
		return err
	}
	_, err = io.ReadAll(conn)
	return err
}

func BenchmarkWarm(b *testing.B) {
	testenv.Need(b, "epmd")
	c := setup(b)
	mustEnsure(b, c)
	for _, way := range []struct {
		name string
		call func() error
	}{
		{"Epmd", func() error { _, err := ensure.Epmd(b.Context(), c); return err }},
		{"Probe", func() error { _, err := ensure.Probe(b.Context(), c); return err }},
		{"bare", func() error { return dialNames(c.Port) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			for b.Loop() {
				if err := way.call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// In turns, so that their ratio means something on a machine that others use too; each time is a
// median.
func BenchmarkInTurns(b *testing.B) {
	testenv.Need(b, "epmd")
	c := setup(b)
	mustEnsure(b, c)
	var ours, bare []time.Duration
	for b.Loop() {
		begin := time.Now()
		if _, err := ensure.Epmd(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		between := time.Now()
		if err := dialNames(c.Port); err != nil {
			b.Fatal(err)
		}
		ours, bare = append(ours, between.Sub(begin)), append(bare, time.Since(between))
	}
	median := func(times []time.Duration) float64 {
		slices.Sort(times)
		return float64(times[len(times)/2])
	}
	b.ReportMetric(median(ours), "ns/Epmd")
	b.ReportMetric(median(bare), "ns/bare")
	b.ReportMetric(median(ours)/median(bare), "Epmd/bare")
}

// From no epmd to one that answers; bare is a process that is started and asked over and over.
func BenchmarkCold(b *testing.B) {
	testenv.Need(b, "epmd")
	c := setup(b)
	b.Run("Epmd", func(b *testing.B) {
		for b.Loop() {
			mustEnsure(b, c)
			b.StopTimer()
			testenv.Kill(b, c.Port)
			b.StartTimer()
		}
	})
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command("epmd", "-port", strconv.Itoa(int(c.Port)))
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			for dialNames(c.Port) != nil {
			}
			b.StopTimer()
			testenv.Kill(b, c.Port)
			cmd.Wait()
			b.StartTimer()
		}
	})
}

// So many callers at once, until the last one is back: with an epmd that answers, and from none.
func BenchmarkCallers(b *testing.B) {
	testenv.Need(b, "epmd")
	for _, callers := range []int{1, 10, 100, 1000} {
		for _, cold := range []bool{false, true} {
			name := "warm"
			if cold {
				name = "cold"
			}
			b.Run(fmt.Sprint(name, "=", callers), func(b *testing.B) {
				c := setup(b)
				if !cold {
					mustEnsure(b, c)
				}
				for b.Loop() {
					started := ensureAtOnce(b, c, callers)
					if !cold {
						continue
					}
					b.StopTimer()
					if started != 1 {
						b.Errorf("%d of %d started an epmd", started, callers)
					}
					testenv.Kill(b, c.Port)
					b.StartTimer()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*callers), "ns/caller")
			})
		}
	}
}

// ensureAtOnce calls Epmd so many times at once, and returns how many of them started one.
func ensureAtOnce(b *testing.B, c ensure.Config, callers int) (started int) {
	b.Helper()
	results := make([]ensure.Result, callers)
	var all sync.WaitGroup
	for i := range results {
		all.Go(func() {
			var err error
			if results[i], err = ensure.Epmd(b.Context(), c); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	for _, r := range results {
		if r.Started {
			started++
		}
	}
	return started
}
