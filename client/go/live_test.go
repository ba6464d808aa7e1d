package podium_test

import (
	"context"
	"errors"
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
	recorded(t, experiment, wholeArm("a", rowAt("val", 1, metrics{"acc": 0.5})))
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
