package podium_test

import (
	"testing"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// An arm with more rows than a call carries is recorded whole, in order. It can be recorded
// again, also as the server returned it.
func TestALargeArmIsRecordedInSeveralCalls(t *testing.T) {
	experiment := connected(t, address).Experiment("go/large/" + t.Name() + t.TempDir())
	if _, err := experiment.Declare(t.Context(), &podiumv1.ExperimentDeclared{}); err != nil {
		t.Fatal(err)
	}
	arm := podium.NewArmResult(&podiumv1.ArmResult{
		Name: "a", RunConfig: &podiumv1.RunConfig{Name: "a"}, Status: completed,
	})
	for step := range int64(12_500) {
		arm.Evals = append(arm.Evals, rowAt("val", step, metrics{"acc": float64(step)}))
	}
	arm.Evals = append(arm.Evals, row("test", metrics{"acc": 0.5}), rowAt("val", 0, metrics{"acc": 7}))
	response, err := experiment.RecordArm(t.Context(), arm, false)
	if err != nil || response.Revision != 5 || response.ChangedEvents != 2_502 {
		t.Fatalf("recorded: %v, %v", response, err)
	}
	found, err := experiment.Arm("a").Get(t.Context())
	if err != nil || len(found.Evals) != 12_501 {
		t.Fatalf("%d rows, %v", len(found.Evals), err)
	}
	for place, row := range found.Evals[:12_500] {
		if row.GetStep() != int64(place) || row.Metrics["acc"] != float64(place) {
			t.Fatalf("row %d is %v", place, row)
		}
	}
	for name, same := range map[string]*podium.ArmResult{"again": arm, "as returned": found} {
		if _, err := experiment.RecordArm(t.Context(), same, false); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if kept, err := experiment.Arm("a").Get(t.Context()); err != nil || len(kept.Evals) != 12_501 {
			t.Errorf("%s: %d rows, %v", name, len(kept.Evals), err)
		}
	}
}

// A whole arm replaces one that has attempts only if that is wanted.
func TestAWholeArmReplacesAttempts(t *testing.T) {
	experiment := declared(t)
	started(t, experiment, podium.StartOptions{Name: "a"})
	arm := podium.NewArmResult(&podiumv1.ArmResult{
		Name: "a", RunConfig: &podiumv1.RunConfig{Name: "a"}, Status: completed,
	})
	_, err := experiment.RecordArm(t.Context(), arm, false)
	if !podium.HasReason(err, podiumv1.ErrorReason_ERROR_REASON_ARM_HAS_ATTEMPTS) {
		t.Errorf("an arm with attempts: %v", err)
	}
	if _, err := experiment.RecordArm(t.Context(), arm, true); err != nil {
		t.Error(err)
	}
}
