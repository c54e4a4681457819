package systemd

import (
	"bytes"
	"context"
	"slices"

	"github.com/beamrun/beamrun/ensure/epmd"
)

// This file says what becomes of an epmd that was started in a service, or by a user's manager.

// KillMode returns the service's KillMode=, and whether systemd ends whatever the service has
// started. Of a user's it takes that for granted.
func KillMode(ctx context.Context, in Service) (mode string, endsAll bool) {
	if in.User != "" {
		return "", true
	}
	out, err := Run(ctx, "", "systemctl", "show", "--property=KillMode", "--value", in.Name)
	mode = string(bytes.TrimSpace(out))
	return mode, err != nil || !slices.Contains([]string{"process", "none"}, mode)
}

// Remedy says what keeps an epmd alive that a service needs and that is not a unit of its own.
func Remedy(service string, port uint16) string {
	if port == epmd.DefaultPort && HasUnitFile("epmd.socket") {
		return "add Wants=epmd.socket and After=epmd.socket to " + service
	}
	return "add ExecStartPre=+beamrun ensure to " + service // "+": as root
}

// EndsAtLogout reports whether the user's manager, and all that it runs, ends at the user's last
// logout.
func EndsAtLogout(ctx context.Context, uid string) bool {
	out, err := Run(ctx, "", "loginctl", "show-user", "--property=Linger", "--value", uid)
	return err == nil && string(bytes.TrimSpace(out)) == "no"
}
