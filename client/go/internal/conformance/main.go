// Command conformance answers each request that it reads with what this client answers: see
// tests/conformance/README.md of the project.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// request is a line that is read.
type request struct {
	Way, Call, Address string
	Request, Arm       []byte
	// Take is the number of updates after which a watch ends; 0 if it goes on to its end.
	Take int
	// TimeoutMs is the deadline of a read by the way client, or 0.
	TimeoutMs int `json:"timeout_ms"`
}

// answer is a line that is printed: a response or an error. A watch has responses, and maybe an error.
type answer struct {
	Response  *[]byte  `json:"response,omitempty"`
	Responses [][]byte `json:"responses,omitzero"`
	Error     *failure `json:"error,omitempty"`
}

type failure struct {
	Code     string            `json:"code"`
	Reason   string            `json:"reason"`
	Message  string            `json:"message"`
	Metadata map[string]string `json:"metadata"`
	Refusals []refusal         `json:"refusals"`
}

type refusal struct {
	Index     int    `json:"index"`
	Reason    string `json:"reason"`
	Permanent bool   `json:"permanent"`
	Message   string `json:"message"`
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		printed, err := json.Marshal(answered(line))
		if err != nil {
			panic(err)
		}
		fmt.Println(string(printed))
	}
}

func answered(line []byte) answer {
	var asked request
	if err := json.Unmarshal(line, &asked); err != nil {
		panic(err)
	}
	if asked.Call == "Watch" {
		return watched(asked)
	}
	response, err := respond(asked)
	if err != nil {
		return answer{Error: failureOf(err)}
	}
	bytes := marshalled(response)
	return answer{Response: &bytes}
}

func marshalled(message proto.Message) []byte {
	bytes, err := proto.Marshal(message)
	if err != nil {
		panic(err)
	}
	return bytes
}

func failureOf(err error) *failure {
	var failed *podium.Error
	if !errors.As(err, &failed) {
		return &failure{Code: "UNKNOWN", Message: err.Error()}
	}
	refusals := []refusal{}
	for _, event := range failed.Refusals {
		refusals = append(refusals, refusal(event))
	}
	name := code.Code_name[int32(failed.Code)]
	return &failure{name, failed.Reason, failed.Message, failed.Metadata, refusals}
}

var clients = map[string]*podium.Client{}

func respond(asked request) (proto.Message, error) {
	message, err := messageOf(asked)
	if err != nil {
		return nil, err
	}
	if asked.Way == "pure" {
		arm := &podiumv1.ArmResult{}
		if err := proto.Unmarshal(asked.Arm, arm); err != nil {
			return nil, err
		}
		return askArm(podium.NewArmResult(arm), message)
	}
	client, err := clientOf(asked.Address)
	if err != nil {
		return nil, err
	}
	switch asked.Way {
	case "client":
		ctx := context.Background()
		if asked.TimeoutMs > 0 {
			limited, cancel := context.WithTimeout(ctx, time.Duration(asked.TimeoutMs)*time.Millisecond)
			defer cancel()
			ctx = limited
		}
		return askClient(ctx, client, message)
	case "live":
		return askLive(client, message)
	case "attempt":
		return &podiumv1.RecordResponse{}, recordAttempt(client, message.(*podiumv1.RecordRequest))
	}
	return callStub(client, asked.Call, message)
}

func clientOf(address string) (*podium.Client, error) {
	if client := clients[address]; client != nil {
		return client, nil
	}
	client, err := podium.Connect(address)
	clients[address] = client
	return client, err
}

// messageOf is the request of the call.
func messageOf(asked request) (proto.Message, error) {
	name := protoreflect.FullName("podium.v1." + asked.Call + "Request")
	kind, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		return nil, err
	}
	message := kind.New().Interface()
	return message, proto.Unmarshal(asked.Request, message)
}

func askArm(arm *podium.ArmResult, message proto.Message) (proto.Message, error) {
	switch asked := message.(type) {
	case *podiumv1.EvalRequest:
		if asked.Step != nil {
			return &podiumv1.EvalResponse{EvalResult: arm.EvalAt(asked.Name, *asked.Step)}, nil
		}
		return &podiumv1.EvalResponse{EvalResult: arm.Eval(asked.Name)}, nil
	case *podiumv1.ScoreRequest:
		score, err := arm.FindScore(asked.Metric)
		return scoreResponse(score), err
	}
	return whole(arm), nil
}

func askClient(
	ctx context.Context, client *podium.Client, message proto.Message,
) (proto.Message, error) {
	switch asked := message.(type) {
	case *podiumv1.EvalRequest:
		arm := client.Arm(asked.Experiment, asked.Arm)
		ask := func() (*podiumv1.EvalResult, error) { return arm.Eval(ctx, asked.Name) }
		if asked.Step != nil {
			ask = func() (*podiumv1.EvalResult, error) { return arm.EvalAt(ctx, asked.Name, *asked.Step) }
		}
		row, err := ask()
		return &podiumv1.EvalResponse{EvalResult: row}, err
	case *podiumv1.ScoreRequest:
		score, err := client.Arm(asked.Experiment, asked.Arm).FindScore(ctx, asked.Metric)
		return scoreResponse(score), err
	case *podiumv1.GetArmRequest:
		arm, err := client.Arm(asked.Experiment, asked.Arm).Get(ctx)
		if err != nil {
			return nil, err
		}
		return whole(arm), nil
	case *podiumv1.GetExperimentRequest:
		found, err := client.Experiment(asked.Experiment).Get(ctx)
		return &podiumv1.GetExperimentResponse{Experiment: found}, err
	case *podiumv1.RankRequest:
		return client.Experiment(asked.Experiment).Rank(ctx, podium.RankOptions{
			Metric: asked.Metric, Direction: asked.Direction, Statuses: asked.Statuses,
			ByGroup: asked.ByGroup, MinMembers: asked.MinMembers,
		})
	case *podiumv1.ScoresRequest:
		return client.Experiment(asked.Experiment).Scores(ctx, asked.Metrics, podium.ArmFilter{
			Statuses: asked.Statuses, GroupName: asked.GroupName,
			NamePrefix: asked.NamePrefix, Tags: asked.Tags,
		})
	case *podiumv1.RecordRequest:
		return client.Experiment(asked.Experiment).Record(ctx, asked.Events...)
	}
	return nil, fmt.Errorf("no handle has a method for %T", message)
}

// askLive asks the state of a followed experiment.
func askLive(client *podium.Client, message proto.Message) (proto.Message, error) {
	experiment := message.(interface{ GetExperiment() string }).GetExperiment()
	live, err := client.Experiment(experiment).Follow(context.Background(), podium.WatchOptions{WithSeries: true})
	if err != nil {
		return nil, err
	}
	defer live.Close()
	switch asked := message.(type) {
	case *podiumv1.RankRequest:
		return live.State().Rank(asked.GetMetric(), asked.Direction, asked.Statuses...)
	case *podiumv1.ListSeriesRequest:
		found := &podiumv1.ListSeriesResponse{}
		for _, curve := range live.State().Curve(asked.Keys[0]) {
			if curve.Arm == asked.Arm {
				found.Series = append(found.Series, &podiumv1.Series{
					Key: asked.Keys[0], Steps: curve.Steps, Values: curve.Values,
				})
			}
		}
		return found, nil
	}
	return nil, fmt.Errorf("no live state has a method for %T", message)
}

// callStub makes a call of either service as it is.
func callStub(client *podium.Client, call string, message proto.Message) (proto.Message, error) {
	stub := reflect.ValueOf(client.Results).MethodByName(call)
	if !stub.IsValid() {
		stub = reflect.ValueOf(client.Recording).MethodByName(call)
	}
	arguments := []reflect.Value{reflect.ValueOf(context.Background()), reflect.ValueOf(message)}
	results := stub.Call(arguments)
	err, _ := results[1].Interface().(error)
	return results[0].Interface().(proto.Message), err
}

func scoreResponse(score *podium.Score) *podiumv1.ScoreResponse {
	if score == nil {
		return &podiumv1.ScoreResponse{}
	}
	return &podiumv1.ScoreResponse{Value: &score.Value, Source: score.Source}
}

// whole is an arm as it reads, with the mirrors of its primary eval.
func whole(arm *podium.ArmResult) *podiumv1.GetArmResponse {
	read := proto.CloneOf(arm.ArmResult)
	read.EvalMetrics, read.EvalBreakdowns = arm.GetEvalMetrics(), arm.GetEvalBreakdowns()
	if arm.HasEvalSeconds() {
		seconds := arm.GetEvalSeconds()
		read.EvalSeconds = &seconds
	}
	return &podiumv1.GetArmResponse{ArmResult: read}
}
