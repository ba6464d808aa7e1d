package podium

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"podium.example/podium/podiumv1"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Second
	// longestWatchPause is longer, since a watch has no time limit.
	longestWatchPause = 10 * time.Second

	overloaded    = "OVERLOADED"
	quotaExceeded = "QUOTA_EXCEEDED"
	shuttingDown  = "SHUTTING_DOWN"
)

// turnedAway has the reasons of a server that rejects a call before it does anything.
var turnedAway = []string{overloaded, quotaExceeded, shuttingDown}

// isRetried reports whether a failed call is retried: if the server rejected it before any work, or if no
// server answers and the call is not a write that could be applied twice.
func isRetried(failed *Error, isSentOnce bool) bool {
	return slices.Contains(turnedAway, failed.Reason) || (failed.Code == codes.Unavailable && !isSentOnce)
}

// hasPosition reports whether a request has a position in a stream, so that the server applies it once.
func hasPosition(request any) bool {
	record, is := request.(*podiumv1.RecordRequest)
	return is && record.GetPosition() != nil
}

// pauseAfter returns the delay after a failed attempt, counted from 0. It is the delay that the server
// asks for, or else doubles with each attempt, varied at random by up to 20 %.
func pauseAfter(attempt int, failed *Error) time.Duration {
	if failed.retryDelay > 0 {
		return failed.retryDelay
	}
	pause := min(longestPause, firstPause<<min(attempt, 10))
	return time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64()))
}

// watchPauseAfter returns the delay of a watch after a failed attempt: random, up to a limit that doubles
// with each attempt, so that not all clients of a lost server reconnect at once. It is at least the delay
// that the server asks for.
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
