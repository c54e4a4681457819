package owner

// PortsOf returns the ports on which sockets of that user listen, as far as Listening(0) would. It
// returns false where the system does not say: on every system but Linux.
func PortsOf(uid int) (map[uint16]bool, bool) { return portsOf(uid) }
