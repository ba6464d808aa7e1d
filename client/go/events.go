package podium

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"podium.example/podium/podiumv1"
)

// ExperimentDeclared creates the experiment, or fills those of its fields that are still unset.
func ExperimentDeclared(declared *podiumv1.ExperimentDeclared) *podiumv1.Event {
	return now(&podiumv1.Event{
		Kind: &podiumv1.Event_ExperimentDeclared{ExperimentDeclared: declared},
	})
}

// ArmStarted begins an attempt at training an arm: the arm is running.
func ArmStarted(started *podiumv1.ArmStarted) *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_ArmStarted{ArmStarted: started}})
}

// MetricsRecorded adds training metrics to an arm: the latest value of each key counts.
func MetricsRecorded(arm string, metrics map[string]float64) *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_MetricsRecorded{
		MetricsRecorded: &podiumv1.MetricsRecorded{Arm: arm, Metrics: metrics},
	}})
}

// EvalRecorded adds an eval row to an arm; a row of the same name and step is replaced.
func EvalRecorded(arm string, row *podiumv1.EvalResult) *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_EvalRecorded{
		EvalRecorded: &podiumv1.EvalRecorded{Arm: arm, EvalResult: row},
	}})
}

// ArmFinished says how an arm's training ended. Said again, the last one counts as a whole.
func ArmFinished(finished *podiumv1.ArmFinished) *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_ArmFinished{ArmFinished: finished}})
}

// ArmRecorded records a whole arm at once: the arm becomes equal to it.
func ArmRecorded(arm *ArmResult) *podiumv1.Event {
	return now(&podiumv1.Event{Kind: &podiumv1.Event_ArmRecorded{
		ArmRecorded: &podiumv1.ArmRecorded{ArmResult: arm.ArmResult},
	}})
}

// ExperimentConcluded stores what was found out. The last one counts.
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
