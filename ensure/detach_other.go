//go:build !linux

package ensure

import (
	"context"
	"errors"
)

func (c Config) startUnit(
	_ context.Context, forced bool, _ string, res *Result,
) (done bool, mortal string, _ *Error) {
	if forced {
		return false, "", noUnit(res.Endpoint, errors.New("systemd is on Linux only"))
	}
	return false, "", nil
}
