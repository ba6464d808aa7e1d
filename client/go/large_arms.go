package podium

import (
	"context"

	"google.golang.org/protobuf/proto"

	"podium.example/podium/podiumv1"
)

// The default limits of a call. 128 KiB are left for the names around the events.
const (
	callEvents  = 1_000
	callMetrics = 10_000
	callBytes   = 4<<20 - 128<<10
	// The bytes of a field's number and length.
	frameBytes = 6
)

// Declare creates the experiment, or sets its unset fields. A field with another value keeps it and is
// named in the response, unless Overwrite is set. ClearFields names fields that lose their value.
func (e *Experiment) Declare(
	ctx context.Context, declared *podiumv1.ExperimentDeclared,
) (*podiumv1.RecordResponse, error) {
	return e.Record(ctx, ExperimentDeclared(declared))
}

// RecordArm records a whole arm: the stored arm becomes equal to it. With replace, it also replaces an
// arm that has attempts. An arm that is larger than one call allows is recorded in several calls: first
// the arm with its first rows, then the other rows. Recording it again is safe.
func (e *Experiment) RecordArm(
	ctx context.Context, arm *ArmResult, replace bool,
) (*podiumv1.RecordResponse, error) {
	whole := ArmRecorded(arm)
	whole.GetArmRecorded().Replace = replace
	found := &podiumv1.RecordResponse{}
	for _, events := range inCalls(arm, whole) {
		response, err := e.Record(ctx, events...)
		if err != nil {
			return nil, err
		}
		response.ChangedEvents += found.ChangedEvents
		found = response
	}
	return found, nil
}

// load has the amounts in a call that have limits.
type load struct{ events, metrics, bytes int }

func (l load) plus(other load) load {
	return load{l.events + other.events, l.metrics + other.metrics, l.bytes + other.bytes}
}

func (l load) fits() bool {
	return l.events <= callEvents && l.metrics <= callMetrics && l.bytes <= callBytes
}

// loadOfRow returns the load of a row within an arm. A row without metrics counts as one with a metric.
func loadOfRow(row *podiumv1.EvalResult) load {
	return load{0, max(1, len(row.Metrics)), proto.Size(row) + frameBytes}
}

// inCalls returns the events of each call that records a whole arm.
func inCalls(arm *ArmResult, whole *podiumv1.Event) [][]*podiumv1.Event {
	rows, head := arm.distinctRows(), proto.CloneOf(whole)
	first := head.GetArmRecorded().ArmResult
	first.Evals = nil
	clearMirrors(first, arm.Primary())
	metrics := len(arm.Metrics) + len(arm.EvalMetrics) + len(arm.GetRunResult().GetMetrics())
	total, count := load{1, metrics, proto.Size(head) + frameBytes}, 0
	for _, row := range rows {
		if total = total.plus(loadOfRow(row)); !total.fits() {
			break
		}
		count++
	}
	if count == len(rows) {
		return [][]*podiumv1.Event{{whole}}
	}
	first.Evals = rows[:count]
	return append([][]*podiumv1.Event{{head}}, rowsInCalls(whole, rows[count:])...)
}

// clearMirrors clears the eval fields of an arm that repeat its primary eval. The first call may not
// contain the row of that eval, and the server rejects fields without it.
func clearMirrors(arm *podiumv1.ArmResult, primary *podiumv1.EvalResult) {
	given := &podiumv1.EvalResult{Metrics: arm.EvalMetrics, Breakdowns: arm.EvalBreakdowns}
	own := &podiumv1.EvalResult{Metrics: primary.GetMetrics(), Breakdowns: primary.GetBreakdowns()}
	if proto.Equal(given, own) && arm.GetEvalSeconds() == primary.GetEvalSeconds() {
		arm.EvalMetrics, arm.EvalBreakdowns, arm.EvalSeconds = nil, nil, nil
	}
}

// rowsInCalls returns an event for each row of an arm, in calls.
func rowsInCalls(whole *podiumv1.Event, rows []*podiumv1.EvalResult) [][]*podiumv1.Event {
	var calls [][]*podiumv1.Event
	total := load{events: callEvents}
	for _, row := range rows {
		event := EvalRecorded(whole.GetArmRecorded().ArmResult.Name, row)
		if event.EventTime = whole.EventTime; row.EventTime != nil {
			event.EventTime = row.EventTime
		}
		own := load{1, len(row.Metrics), proto.Size(event) + frameBytes}
		if total = total.plus(own); !total.fits() {
			calls, total = append(calls, nil), own
		}
		calls[len(calls)-1] = append(calls[len(calls)-1], event)
	}
	return calls
}
