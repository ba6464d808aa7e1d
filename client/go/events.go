package podium

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"podium.example/podium/podiumv1"
)

// ExperimentDeclared makes the event that creates the experiment, sets unset fields, or clears fields.
func ExperimentDeclared(declared *podiumv1.ExperimentDeclared) *podiumv1.Event {
	return now(&podiumv1.Event{
		Kind: &podiumv1.Event_ExperimentDeclared{ExperimentDeclared: declared},
	})
}

// ArmStarted makes the event that starts an attempt at training an arm.
func ArmStarted(started *podiumv1.ArmStarted) *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_ArmStarted{ArmStarted: started}})
}

// MetricsRecorded makes the event that records training metrics. The latest value of each key is kept.
func MetricsRecorded(arm string, metrics map[string]float64) *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_MetricsRecorded{
		MetricsRecorded: &podiumv1.MetricsRecorded{Arm: arm, Metrics: metrics},
	}})
}

// EvalRecorded makes the event that records an eval row. It replaces a row with the same name and step.
func EvalRecorded(arm string, row *podiumv1.EvalResult) *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_EvalRecorded{
		EvalRecorded: &podiumv1.EvalRecorded{Arm: arm, EvalResult: row},
	}})
}

// ArmFinished makes the event that ends the training of an arm. A later one replaces all of its fields.
func ArmFinished(finished *podiumv1.ArmFinished) *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_ArmFinished{ArmFinished: finished}})
}

// ArmRecorded makes the event that records a whole arm: the stored arm becomes equal to it.
func ArmRecorded(arm *ArmResult) *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_ArmRecorded{
		ArmRecorded: &podiumv1.ArmRecorded{ArmResult: arm.ArmResult},
	}})
}

// ExperimentConcluded makes the event that stores the conclusion. It replaces an earlier one.
func ExperimentConcluded(conclusion string) *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_ExperimentConcluded{
		ExperimentConcluded: &podiumv1.ExperimentConcluded{Conclusion: conclusion},
	}})
}

// Skipped takes a sequence number of its stream and does nothing.
func Skipped() *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_Skipped{Skipped: &podiumv1.Skipped{}}})
}

// now says when it happened: it is shown and orders nothing.
func now(event *podiumv1.Event) *podiumv1.Event {
	event.EventTime = timestamppb.Now()
	return event
}
