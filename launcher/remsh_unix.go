//go:build unix

package launcher

// readsHome reports whether Erlang reads its cookie from the directory that HOME names.
const readsHome = true
