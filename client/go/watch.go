package podium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"podium.example/podium/podiumv1"
)

// mostResets is the number of resets in a row, without another update, after which a watch fails.
const mostResets = 3

// The reasons of errors after which a watch continues.
var transient = []string{overloaded, quotaExceeded, shuttingDown, "WATCH_TOO_SLOW", "OUTCOME_UNKNOWN"}

// WatchOptions are the optional arguments of Watch. The zero value watches everything.
type WatchOptions struct {
	// After is the marker of the last known update. If nil, the watch begins with the whole state.
	After *podiumv1.WatchMarker
	// Statuses watches only arms with one of these; none means any.
	Statuses []podiumv1.ArmStatus
	// GroupName watches only arms of the group with this name.
	GroupName *string
	// NamePrefix watches only arms whose name begins with this text.
	NamePrefix *string
	// WithoutEvals watches only arms, without their rows.
	WithoutEvals bool
	// WithoutBreakdowns watches rows and arms without their breakdowns.
	WithoutBreakdowns bool
	// WithSeries also watches the training series of the arms.
	WithSeries bool
	// SeriesKeys, with WithSeries, watches only the series of these keys. None means all.
	SeriesKeys []string
}

// Watch yields the state of the experiment and then every change as it is committed. Each update has a
// marker, and changes the state before it into exactly the state of the marker's revision. Apply its
// fields in the order reset, removals, arms, evals, series. If the connection is lost, the watch continues
// after the last update. It ends with an error, with the context, or after an update that says that
// the experiment was deleted.
func (e *Experiment) Watch(
	ctx context.Context, options WatchOptions,
) iter.Seq2[*podiumv1.WatchResponse, error] {
	return func(yield func(*podiumv1.WatchResponse, error) bool) {
		e.watching(options).run(ctx, yield)
	}
}

// watching returns a watch without a call.
func (e *Experiment) watching(options WatchOptions) *watch {
	w := &watch{client: e.client, begun: time.Now(), request: &podiumv1.WatchRequest{
		Experiment: e.name, Statuses: options.Statuses, GroupName: options.GroupName,
		NamePrefix: options.NamePrefix, WithoutEvals: options.WithoutEvals,
		WithoutBreakdowns: options.WithoutBreakdowns, WithSeries: options.WithSeries,
		SeriesKeys: options.SeriesKeys,
	}}
	w.continueAfter(options.After)
	return w
}

// watch is the state of a watch between its calls.
type watch struct {
	client  *Client
	request *podiumv1.WatchRequest
	begun   time.Time
	// marker is the last marker that arrived, or nil.
	marker *podiumv1.WatchMarker
	// attempt and resets count failures and resets since the last update that was not a reset.
	attempt, resets int
	// heard is called with each marker, if it is not nil.
	heard func()
}

// run makes calls until the watch is over.
func (w *watch) run(ctx context.Context, yield func(*podiumv1.WatchResponse, error) bool) {
	for {
		failed := w.call(ctx, yield)
		switch {
		case failed == nil:
			return
		case failed.Code == codes.NotFound && w.marker != nil:
			// The experiment was deleted while there was no connection.
			yield(&podiumv1.WatchResponse{Deleted: true}, nil)
			return
		case !w.isRetried(ctx, failed) || !pausedBefore(ctx, watchPauseAfter(w.attempt, failed)):
			yield(nil, explained(failed, w.client.address, 0, false))
			return
		}
		w.attempt++
	}
}

// call makes one call, and yields its updates. It returns nil if the watch is over.
func (w *watch) call(
	ctx context.Context, yield func(*podiumv1.WatchResponse, error) bool,
) *Error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.client.Results.Watch(ctx, w.request)
	if err != nil {
		return fromCall(err)
	}
	for update := new(podiumv1.WatchResponse); ; {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = status.Error(codes.Unavailable, "the server has ended the watch")
		}
		if err != nil {
			failed := fromCall(err)
			failed.wasSent = true
			return failed
		}
		if response.Deleted {
			yield(&podiumv1.WatchResponse{Deleted: true}, nil)
			return nil
		}
		if response.Reset_ {
			if w.resets == mostResets {
				return w.tooManyResets()
			}
		}
		update = merged(update, response)
		if response.Marker != nil {
			isNews := !proto.Equal(response.Marker, w.marker)
			w.complete(update)
			if isNews && !yield(update, nil) {
				return nil
			}
			update = new(podiumv1.WatchResponse)
		}
	}
}

// complete notes the marker of an update. A reset does not end the pauses: the server may only reset.
func (w *watch) complete(update *podiumv1.WatchResponse) {
	w.marker = update.Marker
	if w.heard != nil {
		w.heard()
	}
	w.continueAfter(w.marker)
	if update.Reset_ {
		// A reset without its update was interrupted, and the next call repeats it.
		w.resets++
	} else {
		w.attempt, w.resets = 0, 0
	}
}

func (w *watch) tooManyResets() *Error {
	return &Error{Code: codes.Aborted, Message: fmt.Sprintf("the server reset the watch of %q %d times "+
		"in a row: does the address lead to servers with different stores?",
		w.request.Experiment, mostResets+1)}
}

func (w *watch) continueAfter(marker *podiumv1.WatchMarker) {
	if marker != nil {
		w.request.AfterRevision, w.request.Epoch = &marker.Revision, &marker.Epoch
	}
}

// isRetried reports whether the watch continues after a failed call. If the server has answered before,
// there is no limit to the retries.
func (w *watch) isRetried(ctx context.Context, failed *Error) bool {
	if failed.Code == codes.Canceled && ctx.Err() == nil && isOpen(w.client.connection) {
		failed.Code = codes.Unavailable
	}
	isAway := failed.Code == codes.Unavailable || failed.Code == codes.Internal
	isTransient := slices.Contains(transient, failed.Reason) || (failed.Reason == "" && isAway)
	return isTransient && (w.marker != nil || time.Since(w.begun) < ReadTimeout)
}

// merged adds a message to the update that it is a part of. A removal also ends what an earlier message
// has added.
func merged(update, response *podiumv1.WatchResponse) *podiumv1.WatchResponse {
	if response.Reset_ {
		return response
	}
	for _, gone := range response.Removals {
		isArm := gone.Name == nil
		update.Arms = slices.DeleteFunc(update.Arms, func(item *podiumv1.WatchedArm) bool {
			return isArm && item.GetArm().GetName() == gone.Arm
		})
		update.Evals = slices.DeleteFunc(update.Evals, func(item *podiumv1.WatchedEval) bool {
			return item.Arm == gone.Arm && (isArm || isRow(gone, item.EvalResult))
		})
		update.Series = slices.DeleteFunc(update.Series, func(item *podiumv1.WatchedSeries) bool {
			return isArm && item.Arm == gone.Arm
		})
	}
	if response.Experiment != nil {
		update.Experiment = nil // Merge would keep the tags and metadata of an earlier declaration
	}
	proto.Merge(update, response)
	return update
}

// isRow reports whether a removal names a row.
func isRow(gone *podiumv1.WatchRemoval, row *podiumv1.EvalResult) bool {
	isStep := (gone.Step == nil) == (row.Step == nil) && gone.GetStep() == row.GetStep()
	return gone.GetName() == row.GetName() && isStep
}
