package podium_test

import (
	"fmt"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// An arm in this process answers without a server.
func ExampleArmResult_Score() {
	arm := podium.NewArmResult(&podiumv1.ArmResult{
		Name:    "lora_rank4",
		Metrics: map[string]float64{"loss": 0.31},
		Evals: []*podiumv1.EvalResult{
			{Name: "test", Metrics: map[string]float64{"pass_rate": 0.61}},
		},
	})
	for _, metric := range []string{"test.pass_rate", "loss", "test.loss"} {
		value, found, err := arm.Score(metric)
		fmt.Println(value, found, err)
	}
	// Output:
	// 0.61 true <nil>
	// 0.31 true <nil>
	// 0 false <nil>
}
