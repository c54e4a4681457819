//go:build !linux

package doctor

import (
	"context"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/shell"
)

func (p *patient) lifetime(context.Context) Check { return Check{} }
func (p *patient) units(context.Context) Check    { return Check{} }

func (p *patient) restart(owner.Process) shell.Command { return shell.Command{} }
