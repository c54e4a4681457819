package main

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// warnIfUnreachable warns of a node's name that --local makes useless: the node listens on
// 127.0.0.1 only, and others look for it where the host part of its name leads, on Debian to
// 127.0.1.1 if it is the host's own name.
func (a *app) warnIfUnreachable(ctx context.Context, args []string) {
	if !a.local {
		return
	}
	host := nodeHost(args)
	if host == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	isLoopback := func(s string) bool { return s == "127.0.0.1" || s == "::1" }
	if err != nil || !slices.ContainsFunc(addrs, isLoopback) {
		a.say("warning: the node listens on 127.0.0.1 only, and its name leads others to %s (%s);"+
			" name it NAME@localhost",
			printable(host), strings.Join(addrs, ", "))
	}
}

// nodeHost returns the host part of the node's name that erl's or Elixir's arguments give, or ""
// when they give none.
func nodeHost(args []string) string {
	for i, arg := range args[:max(0, len(args)-1)] {
		switch arg {
		case "-sname", "--sname", "-name", "--name":
			_, host, named := strings.Cut(args[i+1], "@")
			if !named {
				host, _ = os.Hostname()
			}
			return host
		case "--", "-extra":
			return ""
		}
	}
	return ""
}
