package podium_test

import (
	"errors"
	"math"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

func row(name string, metrics map[string]float64) *podiumv1.EvalResult {
	return &podiumv1.EvalResult{Name: name, Metrics: metrics}
}

func rowAt(name string, step int64, metrics map[string]float64) *podiumv1.EvalResult {
	return &podiumv1.EvalResult{Name: name, Step: &step, Metrics: metrics}
}

type metrics = map[string]float64

func built(rows ...*podiumv1.EvalResult) *podium.ArmResult {
	return podium.NewArmResult(&podiumv1.ArmResult{
		Name: "lora_rank4", Evals: rows, Metrics: metrics{"loss": 0.31, "train.loss": 0.25},
	})
}

// The post-training row answers for a name; a step is answered by the row at exactly it.
func TestEvalWithoutAndWithAStep(t *testing.T) {
	arm := built(
		rowAt("val", 0, metrics{"acc": 0.1}), rowAt("val", 100, metrics{"acc": 0.2}),
		rowAt("val", -5, metrics{"acc": 0.3}), row("test", metrics{"acc": 0.4}),
	)
	if found := arm.Eval("val"); found.GetStep() != 100 {
		t.Errorf("eval(val) is %v", found)
	}
	if found := arm.EvalAt("val", 0); found.GetMetrics()["acc"] != 0.1 {
		t.Errorf("eval(val, 0) is %v", found)
	}
	if found := arm.EvalAt("val", 99); found != nil {
		t.Errorf("eval(val, 99) is %v", found)
	}
	if found := arm.EvalAt("test", 0); found != nil {
		t.Errorf("eval(test, 0) is %v", found)
	}
	if found := arm.Eval("not_yet"); found != nil {
		t.Errorf("eval(not_yet) is %v", found)
	}
}

// A score says where it came from, and no score is not a score of 0.
func TestScores(t *testing.T) {
	arm := built(
		rowAt("val", 7, metrics{"acc": 0.5}),
		row("test", metrics{"acc": 0, "nan": math.NaN()}),
	)
	known := metrics{"acc": 0, "val.acc": 0.5, "loss": 0.31, "train.loss": 0.25}
	for metric, wanted := range known {
		if value, found, err := arm.Score(metric); value != wanted || !found || err != nil {
			t.Errorf("score(%s) is %v, %v, %v", metric, value, found, err)
		}
	}
	if value, found, _ := arm.Score("test.nan"); !math.IsNaN(value) || !found {
		t.Errorf("score(test.nan) is %v, %v", value, found)
	}
	if value, found, err := arm.Score("val.loss"); value != 0 || found || err != nil {
		t.Errorf("score(val.loss) is %v, %v, %v", value, found, err)
	}
	score, err := arm.FindScore("val.acc")
	if err != nil || score.Source.GetEvalName() != "val" || score.Source.GetStep() != 7 {
		t.Errorf("the source of val.acc is %v, %v", score, err)
	}
}

// To ask for an empty metric is an error with the code and reason that a server answers.
func TestEmptyMetricIsRefused(t *testing.T) {
	_, found, err := built().Score("")
	var failed *podium.Error
	if found || !errors.As(err, &failed) {
		t.Fatalf("score of nothing is %v, %v", found, err)
	}
	if failed.Code != codes.InvalidArgument || failed.Reason != "NAME_INVALID" {
		t.Errorf("score of nothing fails with %v", failed)
	}
}

// Fields that were left empty read as the primary eval's, also once a row was added.
func TestMirrors(t *testing.T) {
	arm := built(rowAt("val", 1, metrics{"acc": 0.1}))
	if found := arm.GetEvalMetrics()["acc"]; found != 0.1 {
		t.Errorf("eval_metrics of an in-loop row: %v", found)
	}
	if arm.HasEvalSeconds() {
		t.Error("eval_seconds that nobody recorded")
	}
	final := row("test", metrics{"acc": 0.9})
	final.EvalSeconds = proto.Float64(2.5)
	final.Breakdowns = map[string]*podiumv1.Value{
		"math": {Kind: &podiumv1.Value_IntValue{IntValue: 1<<53 + 1}},
	}
	arm.Evals = append(arm.Evals, final)
	if found := arm.GetEvalMetrics()["acc"]; found != 0.9 {
		t.Errorf("eval_metrics of a post-training row: %v", found)
	}
	if found := arm.GetEvalSeconds(); found != 2.5 || !arm.HasEvalSeconds() {
		t.Errorf("eval_seconds: %v", found)
	}
	if found := arm.GetEvalBreakdowns()["math"].GetIntValue(); found != 9007199254740993 {
		t.Errorf("eval_breakdowns: %v", found)
	}
	arm.EvalMetrics = metrics{"acc": 0.7}
	if score, _ := arm.FindScore("acc"); score.Value != 0.7 || score.Source.EvalName != nil {
		t.Errorf("given eval_metrics stand: %v", score)
	}
}
