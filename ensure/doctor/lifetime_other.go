//go:build !linux

package doctor

import (
	"context"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/shell"
)

func (h *host) lifetime(context.Context) Check { return Check{} }
func (h *host) units(context.Context) Check    { return Check{} }

func (h *host) restart(owner.Process) shell.Command { return shell.Command{} }
