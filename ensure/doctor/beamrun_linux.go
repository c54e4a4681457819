package doctor

import "github.com/beamrun/beamrun/internal/shell"

// bySystemd starts an epmd that systemd runs.
func (h *host) bySystemd() shell.Command {
	return h.beamrun().Words("--detach", "systemd", "ensure")
}
