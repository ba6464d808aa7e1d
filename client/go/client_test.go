package podium_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// What was recorded is answered, and what was not is nil and no error.
func TestEvalAndScoreOverTheWire(t *testing.T) {
	experiment := declared(t)
	recorded(t, experiment, wholeArm("a",
		rowAt("val", 0, metrics{"acc": 0}), row("test", metrics{"acc": 0.6})))
	arm := experiment.Arm("a")

	if found, err := arm.EvalAt(t.Context(), "val", 0); err != nil || found.GetRevision() != 2 {
		t.Errorf("eval(val, 0) is %v, %v", found, err)
	}
	if found, err := arm.EvalAt(t.Context(), "val", 1); found != nil || err != nil {
		t.Errorf("eval(val, 1) is %v, %v", found, err)
	}
	if found, err := arm.Eval(t.Context(), "not_yet"); found != nil || err != nil {
		t.Errorf("eval(not_yet) is %v, %v", found, err)
	}
	if value, found, err := arm.Score(t.Context(), "val.acc"); value != 0 || !found || err != nil {
		t.Errorf("score(val.acc) is %v, %v, %v", value, found, err)
	}
	if _, found, err := arm.Score(t.Context(), "val.f1"); found || err != nil {
		t.Errorf("score(val.f1) is %v, %v", found, err)
	}
}

// A training is recorded event by event, and an evaluator's row arrives after it has finished.
func TestATrainingIsRecorded(t *testing.T) {
	experiment := declared(t)
	attempt := &podiumv1.Attempt{Id: "first", Order: proto.Int64(1)}
	recorded(t, experiment,
		podium.ArmStarted(&podiumv1.ArmStarted{
			Arm: "a", RunConfig: &podiumv1.RunConfig{Name: "a"}, Attempt: attempt,
		}),
		ofAttempt(podium.MetricsRecorded("a", metrics{"loss": 0.3}), attempt.Id),
		ofAttempt(podium.EvalRecorded("a", rowAt("val", 10, metrics{"acc": 0.5})), attempt.Id),
		podium.ArmFinished(&podiumv1.ArmFinished{
			Arm: "a", AttemptId: &attempt.Id, Status: podiumv1.ArmStatus_ARM_STATUS_COMPLETED,
		}),
		podium.ExperimentConcluded("It trains."),
	)
	recorded(t, experiment, podium.EvalRecorded("a", row("test", metrics{"acc": 0.6})))

	arm, err := experiment.Arm("a").Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if arm.GetStatus() != podiumv1.ArmStatus_ARM_STATUS_COMPLETED || arm.GetRevision() != 3 {
		t.Errorf("the arm is %v", arm)
	}
	if value, found, _ := arm.Score("acc"); value != 0.6 || !found {
		t.Errorf("score(acc) is %v, %v", value, found)
	}
	state, err := experiment.Get(t.Context())
	if err != nil || state.GetConclusion() != "It trains." || state.GetArmCounts().GetCompleted() != 1 {
		t.Errorf("the experiment is %v, %v", state, err)
	}
}

// ofAttempt is the event, as one of an attempt.
func ofAttempt(event *podiumv1.Event, id string) *podiumv1.Event {
	if recorded := event.GetMetricsRecorded(); recorded != nil {
		recorded.AttemptId = &id
	} else {
		event.GetEvalRecorded().AttemptId = &id
	}
	return event
}

// Events of a stream are applied once, and a gap is refused with the number that is expected.
func TestAStreamIsAppliedOnce(t *testing.T) {
	experiment := declared(t)
	recorded(t, experiment, wholeArm("a"))
	logged := podium.MetricsRecorded("a", metrics{"loss": 0.3})
	start := &podiumv1.StreamPosition{WriterId: "go", FirstSequence: 1}
	for _, skipped := range []int32{0, 1} {
		answer, err := experiment.RecordAt(t.Context(), start, logged)
		if err != nil || answer.GetLastSequence() != 1 || answer.GetSkippedEvents() != skipped {
			t.Errorf("recorded: %v, %v", answer, err)
		}
	}
	later := &podiumv1.StreamPosition{WriterId: "go", FirstSequence: 9}
	_, err := experiment.RecordAt(t.Context(), later, logged)
	var failed *podium.Error
	if !errors.As(err, &failed) || failed.Reason != "SEQUENCE_GAP" {
		t.Fatalf("a gap: %v", err)
	}
	if failed.Code != codes.OutOfRange || failed.Metadata["expected_sequence"] != "2" {
		t.Errorf("a gap: %v, %v", failed.Code, failed.Metadata)
	}
}

// An error says the code, the reason, its particulars, and every refused event.
func TestErrorsAreTyped(t *testing.T) {
	experiment := declared(t)
	_, err := experiment.Arm("missing").Eval(t.Context(), "val")
	var failed *podium.Error
	if !errors.As(err, &failed) || failed.Reason != "ARM_NOT_FOUND" {
		t.Fatalf("a missing arm: %v", err)
	}
	if !podium.HasReason(err, podiumv1.ErrorReason_ERROR_REASON_ARM_NOT_FOUND) ||
		podium.HasReason(err, podiumv1.ErrorReason_ERROR_REASON_UNSPECIFIED) {
		t.Errorf("a missing arm has the reason %v", failed.Reason)
	}
	if status.Code(err) != codes.NotFound || failed.Metadata["arm"] != "missing" {
		t.Errorf("a missing arm: %v, %v", status.Code(err), failed.Metadata)
	}

	recorded(t, experiment, wholeArm("a"))
	_, err = experiment.Record(t.Context(),
		podium.MetricsRecorded("a", metrics{"loss": 0.3}),
		podium.MetricsRecorded("missing", metrics{"loss": 0.3}),
		podium.EvalRecorded("a", row("", nil)),
	)
	if !errors.As(err, &failed) || len(failed.Refusals) != 2 {
		t.Fatalf("two refused events: %v", err)
	}
	first, second := failed.Refusals[0], failed.Refusals[1]
	if first.Index != 1 || first.Permanent || first.Reason != "ARM_NOT_FOUND" {
		t.Errorf("the first refused event: %v", first)
	}
	if second.Index != 2 || !second.Permanent || second.Reason != "NAME_INVALID" {
		t.Errorf("the second refused event: %v", second)
	}
}

// Lists go on page after page, in order, and stop early when nobody wants more.
func TestListsFollowTheirPages(t *testing.T) {
	experiment := declared(t)
	wanted, events := []string{}, []*podiumv1.Event{}
	for i := range 250 {
		wanted = append(wanted, fmt.Sprintf("arm-%03d", i))
		events = append(events, wholeArm(wanted[i]))
	}
	recorded(t, experiment, events...)
	var names []string
	for arm, err := range experiment.Arms(t.Context(), podium.ArmFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, arm.GetName())
	}
	if !slices.Equal(names, wanted) {
		t.Errorf("the arms are %v", names)
	}
	prefix := "arm-00"
	both := experiment.Arms(t.Context(), podium.ArmFilter{NamePrefix: &prefix})
	var together sync.WaitGroup
	for range 2 {
		together.Add(1)
		go func() {
			defer together.Done()
			if few := maps.Collect(both); len(few) != 10 {
				t.Errorf("%d arms begin with %s, side by side", len(few), prefix)
			}
		}()
	}
	together.Wait()
	few := maps.Collect(experiment.Arms(t.Context(), podium.ArmFilter{NamePrefix: &prefix}))
	if len(few) != 10 {
		t.Errorf("%d arms begin with %s", len(few), prefix)
	}
	for range experiment.Arms(t.Context(), podium.ArmFilter{}) {
		break
	}
	for _, err := range connected(t, address).Experiment("go/missing").Arms(t.Context(), podium.ArmFilter{}) {
		if status.Code(err) != codes.NotFound {
			t.Errorf("the arms of a missing experiment: %v", err)
		}
	}
}

// An arm of more rows than one response holds is brought whole, in the order of acceptance.
func TestGetFollowsThePagesOfRows(t *testing.T) {
	experiment := declared(t)
	recorded(t, experiment, wholeArm("a"))
	for first := range 3 {
		var events []*podiumv1.Event
		for i := range 900 {
			step := int64(first*900 + i)
			events = append(events, podium.EvalRecorded("a", rowAt("val", step, metrics{"acc": 0.5})))
		}
		recorded(t, experiment, events...)
	}
	arm, err := experiment.Arm("a").Get(t.Context())
	if err != nil || len(arm.GetEvals()) != 2700 {
		t.Fatalf("%d rows, %v", len(arm.GetEvals()), err)
	}
	for i, found := range arm.GetEvals() {
		if found.GetStep() != int64(i) {
			t.Fatalf("row %d is at step %d", i, found.GetStep())
		}
	}
	low, high := int64(10), int64(12)
	var steps []int64
	for found, err := range experiment.Arm("a").Evals(
		t.Context(), podium.EvalFilter{MinStep: &low, MaxStep: &high},
	) {
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, found.GetStep())
	}
	if !slices.Equal(steps, []int64{10, 11, 12}) {
		t.Errorf("the rows from 10 to 12 are at %v", steps)
	}
}

// A ranking has the best arm first and says what became of the others.
func TestRank(t *testing.T) {
	experiment := declared(t)
	recorded(t, experiment,
		wholeArm("low", row("test", metrics{"acc": 0.1})),
		wholeArm("high", row("test", metrics{"acc": 0.9})),
		wholeArm("none"),
	)
	ranking, err := experiment.Rank(t.Context(), podium.RankOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if names := ranked(ranking); !slices.Equal(names, []string{"high", "low", "none"}) {
		t.Errorf("the ranking is %v", names)
	}
	if ranking.GetArms()[2].Rank != nil || ranking.GetCounts().GetWithoutScore() != 1 {
		t.Errorf("the last arm is %v", ranking.GetArms()[2])
	}
	lowest := podium.RankOptions{Direction: podiumv1.Direction_DIRECTION_MINIMIZE, Top: 1}
	ranking, err = experiment.Rank(t.Context(), lowest)
	if err != nil || !slices.Equal(ranked(ranking), []string{"low"}) {
		t.Errorf("the lowest is %v, %v", ranked(ranking), err)
	}
}

// Groups are ranked by the means of their members.
func TestRankByGroup(t *testing.T) {
	experiment := declared(t)
	scores := metrics{"a0": 0.2, "a1": 0.4, "b0": 0.5}
	for name, acc := range scores {
		group := name[:1]
		recorded(t, experiment, podium.ArmRecorded(podium.NewArmResult(&podiumv1.ArmResult{
			Name: name, GroupName: &group, RunConfig: &podiumv1.RunConfig{Name: group},
			Status: podiumv1.ArmStatus_ARM_STATUS_COMPLETED,
			Evals:  []*podiumv1.EvalResult{row("test", metrics{"acc": acc})},
		})))
	}
	ranking, err := experiment.Rank(t.Context(), podium.RankOptions{ByGroup: true})
	if err != nil || len(ranking.GetGroups()) != 2 || len(ranking.GetArms()) != 0 {
		t.Fatalf("the groups are %v, %v", ranking, err)
	}
	if ranking.GetGroups()[0].GetGroupName() != "b" {
		t.Errorf("the first group is %v", ranking.GetGroups()[0])
	}
	several := podium.RankOptions{ByGroup: true, MinMembers: 2, Top: 1}
	ranking, err = experiment.Rank(t.Context(), several)
	if err != nil || len(ranking.GetGroups()) != 1 || ranking.GetGroups()[0].GetGroupName() != "a" {
		t.Errorf("the groups of several are %v, %v", ranking, err)
	}
}

func ranked(ranking *podiumv1.RankResponse) []string {
	var names []string
	for _, arm := range ranking.GetArms() {
		names = append(names, arm.GetArm())
	}
	return names
}

// What was deleted is gone; to delete it again is an error unless that is all right.
func TestDelete(t *testing.T) {
	experiment := declared(t)
	recorded(t, experiment, wholeArm("a"))
	if revision, err := experiment.Arm("a").Delete(t.Context()); revision != 3 || err != nil {
		t.Errorf("deleted: %v, %v", revision, err)
	}
	if _, err := experiment.Arm("a").Delete(t.Context()); status.Code(err) != codes.NotFound {
		t.Errorf("deleted again: %v", err)
	}
	if revision, err := experiment.Arm("a").DeleteIfPresent(t.Context()); revision != 3 || err != nil {
		t.Errorf("deleted if present: %v, %v", revision, err)
	}
	if _, err := experiment.Delete(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := experiment.DeleteIfPresent(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := experiment.Get(t.Context()); status.Code(err) != codes.NotFound {
		t.Errorf("a deleted experiment: %v", err)
	}
}

// A context that has ended ends the call, and errors.Is knows why.
func TestACancelledContext(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := connected(t, address).Arm("x", "a").Eval(cancelled, "val")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
}

// Metrics are listed, rankings have filters, and the server tells its limits.
func TestMetricsFiltersAndServer(t *testing.T) {
	ctx := context.Background()
	experiment := declared(t)
	recorded(t, experiment, wholeArm("a1", row("test", metrics{"acc": 0.6})),
		wholeArm("b1", row("test", metrics{"acc": 0.6})))
	var found []string
	for metric, err := range experiment.Metrics(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprint(metric.GetName(), " ", metric.GetArms()))
	}
	if !slices.Equal(found, []string{"acc 2", "test.acc 2"}) {
		t.Errorf("metrics: %v", found)
	}
	prefix := "a"
	ranking, err := experiment.Rank(ctx, podium.RankOptions{NamePrefix: &prefix})
	if err != nil || len(ranking.Arms) != 1 || ranking.Arms[0].Arm != "a1" {
		t.Errorf("ranking: %v, %v", ranking, err)
	}
	server, err := connected(t, address).Server(ctx)
	if err != nil || server.GetLimits().GetCallEvents() != 1000 {
		t.Errorf("server: %v, %v", server, err)
	}
	if token, err := connected(t, address).Whoami(ctx); err != nil || token != nil {
		t.Errorf("a token at a server that requires none: %v, %v", token, err)
	}
}
