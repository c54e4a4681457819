package ensure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Between two tries we wait for half a millisecond at first (epmd needs about two to start), then longer and longer,
// give or take a half, lest a hundred callers come in step.
const (
	firstWait = 500 * time.Microsecond
	maxWait   = 20 * time.Millisecond
)

// poll calls try until it returns anything but an error of KindDown, or until the context ends. Then its error is of
// KindTimeout or KindCanceled and carries both causes, the context's and the last answer: backoff alone would keep the
// context's only.
func poll(ctx context.Context, try func() *Error) (last *Error) {
	waits := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstWait), backoff.WithMaxInterval(maxWait), backoff.WithMaxElapsedTime(0))
	var down *Error
	_ = backoff.Retry(func() error {
		if last = try(); last == nil || last.Kind != KindDown {
			return nil
		}
		down = last
		return last
	}, backoff.WithContext(waits, ctx))
	if err := ended(ctx); err != nil && down != nil && last != nil && (last.Kind == KindDown || errors.Is(last, err)) {
		return &Error{Kind: endKind(err), Endpoint: down.Endpoint, Err: fmt.Errorf("%w: %w", err, down.Err)}
	}
	return last
}

// ended is the context's error, also in the moment after its deadline when the context does not know yet.
func ended(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(end) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// endKind is the kind of error that a context's end means.
func endKind(err error) Kind {
	if err == context.Canceled {
		return KindCanceled
	}
	return KindTimeout
}
