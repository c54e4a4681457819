package launcher

// withoutOwnEpmd returns env with what keeps a node from running `epmd -daemon` when it boots, as
// every erl with -sname does. Where an epmd is there already, the two processes of that end in
// vain, and it is for PID 1 to wait for them. In a container PID 1 is often the node itself, which
// does not: the VM ignores SIGCHLD, but only once it runs, and they ended before. So they would
// stay defunct for as long as the container lives.
func withoutOwnEpmd(env []string) []string { return withFlags(env, "-start_epmd false") }
