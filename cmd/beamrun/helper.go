package main

import (
	"context"
	"os"

	"github.com/beamrun/beamrun/ensure/orphan"
)

// helperCommand is for beamrun itself: as root it runs itself so, and becomes another user before
// it touches a node of that user.
const helperCommand = "__repair-as-user"

func (a *app) helper(_ context.Context, args []string) error {
	if len(args) > 0 {
		return &usageError{helperCommand + " is for beamrun itself", "beamrun help repair"}
	}
	return orphan.Helper(os.Stdin, a.stdout)
}
