// Command quickstart records an arm and asks about it, over the wire and in this process.
package main

import (
	"context"
	"fmt"
	"log"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, err := podium.Connect("") // localhost:50051, or where PODIUM_ADDRESS says
	if err != nil {
		return err
	}
	defer client.Close()

	metric, step := "test.pass_rate", int64(100)
	_, err = client.Experiment("rank_sweep_go").Record(ctx,
		podium.ExperimentDeclared(&podiumv1.ExperimentDeclared{SuccessMetric: &metric}),
		podium.ArmRecorded(podium.NewArmResult(&podiumv1.ArmResult{
			Name:      "lora_rank4",
			RunConfig: &podiumv1.RunConfig{Name: "lora_rank4"},
			Status:    podiumv1.ArmStatus_ARM_STATUS_COMPLETED,
			Metrics:   map[string]float64{"loss": 0.31},
			Evals: []*podiumv1.EvalResult{
				{Name: "val", Step: &step, Metrics: map[string]float64{"pass_rate": 0.52}},
			},
		})),
		podium.EvalRecorded("lora_rank4", &podiumv1.EvalResult{
			Name: "test", Tags: []string{"test"}, Metrics: map[string]float64{"pass_rate": 0.61},
		}),
	)
	if err != nil {
		return err
	}

	arm := client.Arm("rank_sweep_go", "lora_rank4") // a handle; no call yet
	row, err := arm.EvalAt(ctx, "val", 100)          // *podiumv1.EvalResult, nil if there is none
	if err != nil {
		return err
	}
	value, found, err := arm.Score(ctx, "test.pass_rate") // a number, and whether there is one
	if err != nil {
		return err
	}
	fmt.Println(row.GetMetrics()["pass_rate"], value, found) // 0.52 0.61 true

	snapshot, err := arm.Get(ctx) // the whole arm as of one revision
	if err != nil {
		return err
	}
	value, found, err = snapshot.Score("loss") // the same questions, without a server
	fmt.Println(value, found)                  // 0.31 true
	return err
}
