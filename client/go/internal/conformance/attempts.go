package main

import (
	"context"
	"fmt"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// armOf is an arm of an experiment.
type armOf struct{ experiment, name string }

// runs has the newest attempt of each arm.
var runs = map[armOf]*podium.ArmRun{}

// recordAttempt records each event by the method of an attempt.
func recordAttempt(client *podium.Client, asked *podiumv1.RecordRequest) error {
	for _, event := range asked.Events {
		if err := recordEvent(client, asked.Experiment, event); err != nil {
			return err
		}
	}
	return nil
}

func recordEvent(client *podium.Client, experiment string, event *podiumv1.Event) error {
	ctx := context.Background()
	switch kind := event.Kind.(type) {
	case *podiumv1.Event_ArmStarted:
		run, err := start(client.Experiment(experiment), kind.ArmStarted)
		if err != nil {
			return err
		}
		name := kind.ArmStarted.Arm
		if name == "" {
			name = kind.ArmStarted.RunConfig.Name
		}
		runs[armOf{experiment, name}] = run
		return nil
	case *podiumv1.Event_MetricsRecorded:
		given := kind.MetricsRecorded
		run := runs[armOf{experiment, given.Arm}]
		if given.Step != nil {
			return run.LogAt(ctx, given.Metrics, *given.Step)
		}
		return run.Log(ctx, given.Metrics)
	case *podiumv1.Event_EvalRecorded:
		given := kind.EvalRecorded
		return runs[armOf{experiment, given.Arm}].LogEval(ctx, given.EvalResult)
	case *podiumv1.Event_ArmFinished:
		given := kind.ArmFinished
		return runs[armOf{experiment, given.Arm}].Finish(ctx, podium.FinishOptions{
			Status: given.Status, Error: given.Error,
			TrainSeconds: given.TrainSeconds, RunResult: given.RunResult,
		})
	}
	return fmt.Errorf("no attempt has a method for %T", event.Kind)
}

func start(
	experiment *podium.Experiment, given *podiumv1.ArmStarted,
) (*podium.ArmRun, error) {
	options := podium.StartOptions{
		Name: given.Arm, GroupID: given.GroupId, GroupName: given.GroupName, RunID: given.RunId,
		AttemptID: given.GetAttempt().GetId(), Restart: given.GetRestart(),
	}
	if given.Attempt != nil {
		options.Order = given.Attempt.Order
	}
	if mode, is := given.Mode.(*podiumv1.ArmStarted_ResumeStep); is {
		options.ResumeStep = &mode.ResumeStep
	}
	return experiment.StartArm(context.Background(), given.RunConfig, options)
}
