package ensure

import (
	"context"
	"errors"

	"github.com/beamrun/beamrun/internal/locate"
)

// Find returns the epmd that [Epmd] would start, an absolute path. The error is an *[Error] of
// [KindNotFound] or [KindSpawn], or that of the context's end.
//
// As root it is one that root alone can change, with every directory and link on the way, unless
// Program names it.
func (c Config) Find(ctx context.Context) (string, error) {
	path, err := c.find(ctx)
	if err != nil {
		return "", err
	}
	return path, nil
}

func (c *Config) find(ctx context.Context) (string, *Error) {
	path, err := locate.Epmd(ctx, c.Program)
	if err == nil {
		return path, nil
	}
	e := &Error{Kind: KindSpawn, Err: err}
	if no := new(locate.Error); errors.As(err, &no) {
		e.Err, e.Hint = no.Err, no.Hint
		if no.Missing {
			e.Kind = KindNotFound
		}
	}
	if end := ended(ctx); end != nil && errors.Is(err, end) {
		e.Kind = endKind(end)
	}
	return "", e
}
