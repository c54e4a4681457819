//go:build attacks

package main

import "testing"

// withCrowds adds a small program that plays a node's process, as a script, and `as UID CMD…`.
const withCrowds = withFakes + `
printf '#!/bin/sh\nread x\n' >/run/small; chmod 755 /run/small
mkdir /run/vm; mv /run/small /run/vm/beam.smp
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
		for uid in {60001..60012}; do
			as $uid "$ATTACK" manysockets 16000 many /tmp/ready.$uid &
		done
		for uid in {60001..60012}; do ready $uid; done
		"$ATTACK" measure 0 54322 -- "repair --dry-run" repair doctor "names -v"`)
	withinBudget(t, "192,000 sockets of 12 users", out, 8)
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

// Root's own node that has lost its name is asked and repaired, however many users have silent
// nodes.
func TestSecureManyUsersSilent(t *testing.T) {
	out := neighbours(t, withCrowds+`
		ulimit -n 20000
		"$BUILT" ensure >/dev/null
		real root realroot 9100
		for uid in {60001..60030}; do
			as $uid "$ATTACK" crowd quiet 20 silent /run/vm/beam.smp /tmp/ready.$uid &
		done
		for uid in {60001..60030}; do ready $uid; done
		for i in 1 2 3 4 5 6; do
			echo root; "$BUILT" --timeout 2s --json repair realroot
			lose; "$BUILT" ensure >/dev/null
		done`)
	all := attemptsIn(t, out, "root")
	for _, a := range all {
		if a.Error != nil {
			t.Errorf("%s is %s: %s: %s", a.Name, a.State, a.Error.Kind, a.Error.Message)
		}
	}
	if len(all) != 6 {
		t.Errorf("%d of 6 times: %s", len(all), out)
	}
}
