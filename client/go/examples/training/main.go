// Command training records an attempt at training an arm.
package main

import (
	"context"
	"log"
	"time"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

func main() {
	client, err := podium.Connect("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ctx, metric := context.Background(), "test.pass_rate"
	experiment := client.Experiment("rank_sweep_go")
	_, err = experiment.Declare(ctx, &podiumv1.ExperimentDeclared{SuccessMetric: &metric})
	if err != nil {
		log.Fatal(err)
	}
	config := &podiumv1.RunConfig{Name: "lora_rank8"}
	// An outage of the server that is shorter than 10 minutes loses nothing.
	options := podium.StartOptions{Timeout: 10 * time.Minute}
	// The arm completes if train returns nil. Otherwise it fails with the error.
	if err := experiment.RunArm(ctx, config, options, train); err != nil {
		log.Fatal(err)
	}
}

func train(ctx context.Context, run *podium.ArmRun) error {
	for step := int64(0); step <= 200; step += 100 {
		metrics := map[string]float64{"loss": 1 / float64(step+1)}
		if err := run.LogAt(ctx, metrics, step); err != nil {
			return err
		}
		metrics = map[string]float64{"pass_rate": 0.4 + float64(step)/1000}
		row := &podiumv1.EvalResult{Name: "val", Step: &step, Metrics: metrics}
		if err := run.LogEval(ctx, row); err != nil {
			return err
		}
	}
	return run.LogEval(ctx, &podiumv1.EvalResult{
		Name: "test", Tags: []string{"test"}, Metrics: map[string]float64{"pass_rate": 0.61},
	})
}
