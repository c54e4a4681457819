//go:build unix

package launcher

// readsHome says whether Erlang reads its cookie from the folder that HOME names.
const readsHome = true
