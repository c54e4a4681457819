package launcher

import "os"

// forwarded is Ctrl-C and Ctrl-Break: taken so that they don't end this process before the child.
var forwarded = []os.Signal{os.Interrupt}

// reachesChild says that the child has got the signal too: Windows sends it to all processes of the
// console.
func reachesChild(os.Signal) bool { return true }
