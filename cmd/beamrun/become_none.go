//go:build !unix || noexec

package main

// canBecome reports whether a process can become another program, as [launcher.Exec] has it.
const canBecome = false
