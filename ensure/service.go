package ensure

// Service is a service of systemd.
type Service struct {
	Name string // app.service
	User string // the number of the user whose own manager runs it; empty: the system's does
}

// ServiceOf returns the service that the process is in. It returns false where it is in none, as in a login session or a
// container, and on every system but Linux.
func ServiceOf(pid int) (Service, bool) {
	s := serviceOf(pid)
	return s, s.Name != ""
}
