package main

import "testing"

// withCrowds adds a small program that plays a node's process, as a script, and `as UID CMD…`.
const withCrowds = withFakes + `
printf '#!/bin/sh\nread x\n' >/run/small; chmod 755 /run/small; mkdir /run/vm; mv /run/small /run/vm/beam.smp
as() { local uid=$1; shift; setpriv --reuid=$uid --regid=$uid --clear-groups "$@"; }
`

// Nodes of one user that epmd has at another port take no more time together than the command has.
func TestSecureTakenCrowd(t *testing.T) {
	out := neighbours(t, withCrowds+`
		ulimit -n 20000
		"$BUILT" ensure >/dev/null
		mallory "$ATTACK" herd herd 20 10 19900 /tmp/ready.herd & ready herd
		mallory "$ATTACK" crowd t 480 taken /run/vm/beam.smp /tmp/ready.crowd & ready crowd
		"$ATTACK" measure 0 54322 -- "repair --dry-run" repair doctor "--watch sleep 3"`)
	withinBudget(t, "480 nodes with a name elsewhere", out, 8)
}

// Nor do a user's many sockets, at the names of that user's epmd.
func TestSecureNamesAndSockets(t *testing.T) {
	out := neighbours(t, withCrowds+`
		ulimit -n 20000
		mallory "$ATTACK" lyingepmd /tmp/ready.epmd & ready epmd
		mallory "$ATTACK" manysockets 16000 - /tmp/ready.many & ready many
		"$ATTACK" measure 0 54322 -- "repair --dry-run" repair doctor`)
	withinBudget(t, "65,000 names, 16,000 sockets", out, 6)
}

// Sockets of many users are bounded together.
func TestSecureSocketsOfMany(t *testing.T) {
	out := neighbours(t, withCrowds+`
		ulimit -n 20000
		"$BUILT" ensure >/dev/null
		for uid in {60001..60020}; do
			as $uid "$ATTACK" manysockets 16000 many /tmp/ready.$uid &
		done
		for uid in {60001..60020}; do ready $uid; done
		"$ATTACK" measure 0 54322 -- "repair --dry-run" repair doctor "names -v"`)
	withinBudget(t, "320,000 sockets of 20 users", out, 8)
}

// So are nodes of many users with the same name.
func TestSecureTwinsOfMany(t *testing.T) {
	out := neighbours(t, withCrowds+`
		ulimit -n 20000
		"$BUILT" ensure >/dev/null
		for uid in {60001..60008}; do
			as $uid "$ATTACK" crowd same 250 same /run/vm/beam.smp /tmp/ready.$uid &
		done
		for uid in {60001..60008}; do ready $uid; done
		"$ATTACK" measure 0 54322 -- "repair --dry-run" doctor`)
	withinBudget(t, "2,000 nodes of one name", out, 4)
}
