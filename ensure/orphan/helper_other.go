//go:build !linux

package orphan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

func (n Node) registerByHelper(context.Context, netip.AddrPort, []string) *Problem {
	return n.notOurs()
}

// Helper is the helper of [Node.RegisterItself]. It is for Linux.
func Helper(io.Reader, io.Writer) error {
	return fmt.Errorf("orphan: no helper here: %w", errors.ErrUnsupported)
}
