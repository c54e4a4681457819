//go:build !linux

package epmdtest

import "net"

func unlisten(l *net.TCPListener) { l.Close() }
