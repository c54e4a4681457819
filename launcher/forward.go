package launcher

import (
	"os"
	"os/signal"
)

// forward takes the signals of this process. They go to the child that is given to the function to,
// until stop is called; those that come earlier wait for it.
func forward() (to func(child *os.Process), stop func()) {
	signals := make(chan os.Signal, 16)
	for _, sig := range forwarded {
		// by nohup(1), or by a shell in the background: then the child ignores it too
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	to = func(child *os.Process) {
		go func() {
			for sig := range signals {
				if !reachesChild(sig) {
					child.Signal(sig) // its only error: the child has ended
				}
			}
		}()
	}
	return to, func() { signal.Stop(signals); close(signals) }
}
