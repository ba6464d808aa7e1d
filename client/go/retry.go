package podium

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"

	"podium.example/podium/podiumv1"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Second
	// longestWatchPause is longer, since a watch goes on without a time limit.
	longestWatchPause = 10 * time.Second

	overloaded    = "OVERLOADED"
	quotaExceeded = "QUOTA_EXCEEDED"
)

// isRetried reports whether a call that failed is made again. An overloaded server rejects a call
// before it does anything, so any call is repeated then. While no server answers, a call is repeated
// unless it is a write that could be applied twice.
func isRetried(failed *Error, isSentOnce bool) bool {
	if failed.Code == codes.ResourceExhausted {
		return failed.Reason == overloaded || failed.Reason == quotaExceeded
	}
	return failed.Code == codes.Unavailable && !isSentOnce
}

// hasPosition reports whether a request has its place in a stream, so that a server applies it once.
func hasPosition(request any) bool {
	record, is := request.(*podiumv1.RecordRequest)
	return is && record.GetPosition() != nil
}

// pauseAfter returns how long to wait after a failed attempt, counted from 0: as long as the server
// asks for, else twice as long each time, within a fifth.
func pauseAfter(attempt int, failed *Error) time.Duration {
	if failed.retryDelay > 0 {
		return failed.retryDelay
	}
	pause := min(longestPause, firstPause<<min(attempt, 10))
	return time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64()))
}

// watchPauseAfter returns how long a watch waits after a failed attempt: any time up to twice as long each
// time, so that clients that lost a server together do not return together, and at least as long as the
// server asks for.
func watchPauseAfter(attempt int, failed *Error) time.Duration {
	pause := min(longestWatchPause, firstPause<<min(attempt, 10))
	return max(failed.retryDelay, time.Duration(float64(pause)*rand.Float64()))
}

// pausedBefore waits for a pause. It returns false at once if the pause would end after the
// deadline of the context, and as soon as the context is cancelled.
func pausedBefore(ctx context.Context, pause time.Duration) bool {
	if deadline, has := ctx.Deadline(); has && time.Until(deadline) <= pause {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}
