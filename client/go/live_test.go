package podium_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// A followed experiment answers from memory what the server answers, until it is deleted.
func TestALiveStateFollows(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	experiment := declared(t)
	minimize := &podiumv1.ExperimentDeclared{Direction: podiumv1.Direction_DIRECTION_MINIMIZE}
	recorded(t, experiment, podium.ExperimentDeclared(minimize), wholeArm("a", rowAt("val", 1, metrics{"acc": 0.5})))
	live, err := experiment.Follow(ctx, podium.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if value, found, err := live.Arm("a").Score("val.acc"); value != 0.5 || !found || err != nil {
		t.Errorf("the first score: %v %v %v", value, found, err)
	}
	if live.Arm("missing") != nil || live.Lag() > 2*time.Minute {
		t.Errorf("%v, %v", live.Arm("missing"), live.Lag())
	}
	before := live.State()
	response, err := experiment.Record(ctx,
		podium.EvalRecorded("a", rowAt("val", 2, metrics{"acc": 0.7})), wholeArm("b", rowAt("val", 1, metrics{"acc": 0.9})),
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := live.WaitFor(ctx, response.Revision); err != nil || live.Revision() != response.Revision {
		t.Fatalf("revision %d: %v", live.Revision(), err)
	}
	state := live.State()
	if best, score := state.Best("val.acc", 0); best.GetName() != "a" || score != 0.7 {
		t.Errorf("the best by the declared direction: %v with %v", best.GetName(), score)
	}
	if _, err := (&podium.LiveState{}).Rank("", 0); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a ranking by no metric: %v", err)
	}
	best, score := state.Best("val.acc", podiumv1.Direction_DIRECTION_MAXIMIZE)
	if best.GetName() != "b" || score != 0.9 || len(state.Arms) != 2 || state.Arms[0].GetName() != "a" {
		t.Errorf("the best of %d arms: %v with %v", len(state.Arms), best.GetName(), score)
	}
	worst, score := state.Best("val.acc", podiumv1.Direction_DIRECTION_MINIMIZE)
	if worst.GetName() != "a" || score != 0.7 || state.Arm("a").EvalAt("val", 1) == nil {
		t.Errorf("the least score is %v of %v", score, worst.GetName())
	}
	if len(before.Arms) != 1 || len(before.Arm("a").Evals) != 1 {
		t.Error("an earlier state has changed")
	}
	order := int64(1)
	recorded(t, experiment, podium.ArmStarted(&podiumv1.ArmStarted{
		Arm: "b", RunConfig: &podiumv1.RunConfig{Name: "b"}, Mode: &podiumv1.ArmStarted_Restart{Restart: true},
		Attempt: &podiumv1.Attempt{Id: "x", Order: &order},
	}))
	isRestarted := func(state *podium.LiveState) bool { return len(state.Arm("b").Evals) == 0 }
	if err := live.WaitUntil(ctx, isRestarted); err != nil {
		t.Fatal(err)
	}
	if _, err := experiment.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	if err := live.WaitFor(ctx, 1<<40); status.Code(err) != codes.NotFound {
		t.Errorf("after the deletion: %v", err)
	}
}

// An experiment that does not exist cannot be followed, and a wait ends with its context.
func TestAFollowedExperimentMustExist(t *testing.T) {
	missing := connected(t, address).Experiment("missing")
	if _, err := missing.Follow(t.Context(), podium.WatchOptions{}); status.Code(err) != codes.NotFound {
		t.Errorf("a missing experiment: %v", err)
	}
	live, err := declared(t).Follow(t.Context(), podium.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := live.WaitFor(ctx, 1<<40); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// A followed training series has each point once, also after a later state has replaced some. Earlier
// states keep theirs.
func TestALiveStateHasCurves(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	experiment := declared(t)
	run, err := experiment.StartArm(ctx, &podiumv1.RunConfig{Name: "a"}, podium.StartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	live, err := experiment.Follow(ctx, podium.WatchOptions{WithSeries: true})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	states := []*podium.LiveState{}
	for _, point := range []podium.Curve{
		{Steps: []int64{1}, Values: []float64{0.5}},
		{Steps: []int64{1, 2}, Values: []float64{0.5, 0.25}},
		{Steps: []int64{1, 2, 3}, Values: []float64{0.5, 0.25, 0.125}},
		{Steps: []int64{1, 2, 3}, Values: []float64{0.5, 0.75, 0.125}},
	} {
		last := len(point.Steps) - 1
		step, value := point.Steps[last], point.Values[last]
		if len(states) == 3 {
			step, value = 2, 0.75
		}
		if err := run.LogAt(ctx, metrics{"loss": value}, step); err != nil {
			t.Fatal(err)
		}
		point.Arm = "a"
		isThere := func(state *podium.LiveState) bool {
			return reflect.DeepEqual(state.Curve("loss"), []podium.Curve{point})
		}
		if err := live.WaitUntil(ctx, isThere); err != nil {
			t.Fatalf("%v instead of %v: %v", live.State().Curve("loss"), point, err)
		}
		states = append(states, live.State())
	}
	if found := states[2].Curve("loss")[0].Values; !slices.Equal(found, []float64{0.5, 0.25, 0.125}) {
		t.Errorf("an earlier state has changed: %v", found)
	}
	if found := states[3].Curve("val.acc"); len(found) != 0 {
		t.Errorf("curves of no eval: %v", found)
	}
}
