// Command connect makes each call that it reads over HTTP with the library connect-go: see
// tests/conformance/README.md of the project.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	"podium.example/podium/podiumv1"
)

// request is a line that is read.
type request struct {
	Protocol, Call, Address string
	Request                 []byte
}

type failure struct {
	Code     string            `json:"code"`
	Reason   string            `json:"reason"`
	Message  string            `json:"message"`
	Metadata map[string]string `json:"metadata"`
	Refusals []refusal         `json:"refusals"`
}

type refusal struct {
	Index     uint32 `json:"index"`
	Reason    string `json:"reason"`
	Permanent bool   `json:"permanent"`
	Message   string `json:"message"`
}

// caller makes a call with a request and returns the response, both in binary.
type caller func(asked request) ([]byte, error)

// message is a pointer to a message of type T.
type message[T any] interface {
	*T
	proto.Message
}

var callers = map[string]caller{}

// add adds a call of a service of podium.v1.
func add[I, O any, IP message[I], OP message[O]](service, call string) {
	callers[call] = func(asked request) ([]byte, error) {
		url := fmt.Sprintf("%s/podium.v1.%s/%s", asked.Address, service, call)
		client := connect.NewClient[I, O](http.DefaultClient, url, options[asked.Protocol]...)
		sent := new(I)
		if err := proto.Unmarshal(asked.Request, IP(sent)); err != nil {
			return nil, err
		}
		found, err := client.CallUnary(context.Background(), connect.NewRequest(sent))
		if err != nil {
			return nil, err
		}
		return proto.Marshal(OP(found.Msg))
	}
}

var options = map[string][]connect.ClientOption{
	"connect-json": {connect.WithProtoJSON()},
	"connect":      {},
	"grpc-web":     {connect.WithGRPCWeb()},
}

func init() {
	add[podiumv1.EvalRequest, podiumv1.EvalResponse]("ResultsService", "Eval")
	add[podiumv1.ScoreRequest, podiumv1.ScoreResponse]("ResultsService", "Score")
	add[podiumv1.GetArmRequest, podiumv1.GetArmResponse]("ResultsService", "GetArm")
	add[podiumv1.ListArmsRequest, podiumv1.ListArmsResponse]("ResultsService", "ListArms")
	add[podiumv1.ListEvalsRequest, podiumv1.ListEvalsResponse]("ResultsService", "ListEvals")
	add[podiumv1.ListSeriesRequest, podiumv1.ListSeriesResponse]("ResultsService", "ListSeries")
	add[podiumv1.GetExperimentRequest, podiumv1.GetExperimentResponse]("ResultsService", "GetExperiment")
	add[podiumv1.RankRequest, podiumv1.RankResponse]("ResultsService", "Rank")
	add[podiumv1.RecordRequest, podiumv1.RecordResponse]("RecordingService", "Record")
	add[podiumv1.DeleteArmRequest, podiumv1.DeleteArmResponse]("RecordingService", "DeleteArm")
	add[podiumv1.DeleteExperimentRequest, podiumv1.DeleteExperimentResponse](
		"RecordingService", "DeleteExperiment")
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

func answered(line []byte) map[string]any {
	var asked request
	if err := json.Unmarshal(line, &asked); err != nil {
		panic(err)
	}
	response, err := callers[asked.Call](asked)
	if err != nil {
		return map[string]any{"error": failureOf(err)}
	}
	return map[string]any{"response": response}
}

func failureOf(err error) failure {
	var failed *connect.Error
	if !errors.As(err, &failed) {
		return failure{Code: "UNKNOWN", Message: err.Error()}
	}
	found := failure{Message: failed.Message(), Refusals: []refusal{}}
	found.Code = strings.ToUpper(failed.Code().String())
	if failed.Code() == connect.CodeCanceled {
		found.Code = "CANCELLED"
	}
	for _, detail := range failed.Details() {
		value, err := detail.Value()
		switch known := value.(type) {
		case *errdetails.ErrorInfo:
			found.Reason, found.Metadata = known.Reason, known.Metadata
		case *podiumv1.Refusals:
			found.Refusals = refusalsOf(known)
		case nil:
			found.Message = err.Error()
		}
	}
	return found
}

func refusalsOf(refusals *podiumv1.Refusals) []refusal {
	listed := []refusal{}
	for _, group := range refusals.Refusals {
		permanent := group.Kind != podiumv1.RefusalKind_REFUSAL_KIND_WAIT
		for _, index := range group.EventIndexes {
			listed = append(listed, refusal{uint32(index), group.Reason, permanent, group.Message})
		}
	}
	return listed
}
