package podium_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// A watch yields the state, then each change, and at last that the experiment was deleted.
func TestAWatchYieldsEachChange(t *testing.T) {
	experiment := declared(t)
	recorded(t, experiment, wholeArm("a", rowAt("val", 1, metrics{"acc": 0.5})))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	found := []string{}
	for update, err := range experiment.Watch(ctx, podium.WatchOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprint(len(update.Arms), len(update.Evals), update.Deleted))
		switch len(found) {
		case 1:
			recorded(t, experiment, podium.EvalRecorded("a", rowAt("val", 2, metrics{"acc": 0.6})))
		case 2:
			if _, err := experiment.Delete(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if text := fmt.Sprint(found); text != "[1 1 false 1 1 false 0 0 true]" {
		t.Errorf("the updates have %v", text)
	}
}

// An experiment that does not exist is an error, and so is a context that ends.
func TestAWatchEndsWithAnError(t *testing.T) {
	experiment := declared(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range experiment.Watch(ctx, podium.WatchOptions{}) {
		if ctx.Err() == nil {
			cancel()
		} else if status.Code(err) != codes.Canceled {
			t.Errorf("a context that ends: %v", err)
		}
	}
	missing := connected(t, address).Experiment("missing")
	for _, err := range missing.Watch(t.Context(), podium.WatchOptions{}) {
		if !podium.HasReason(err, podiumv1.ErrorReason_ERROR_REASON_EXPERIMENT_NOT_FOUND) {
			t.Errorf("a missing experiment: %v", err)
		}
	}
}

// broken is a server whose watches break in the middle of an update.
type broken struct {
	podiumv1.UnimplementedResultsServiceServer
	podiumv1.UnimplementedRecordingServiceServer
	mutex    sync.Mutex
	requests []*podiumv1.WatchRequest
}

func (s *broken) Watch(
	request *podiumv1.WatchRequest, stream podiumv1.ResultsService_WatchServer,
) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.requests = append(s.requests, proto.CloneOf(request))
	arm := func(name string) *podiumv1.WatchResponse {
		return &podiumv1.WatchResponse{Arms: []*podiumv1.WatchedArm{
			{Arm: &podiumv1.ArmSummary{Name: name}},
		}}
	}
	marker := func(revision int64) *podiumv1.WatchResponse {
		return &podiumv1.WatchResponse{
			Marker: &podiumv1.WatchMarker{Revision: revision, Epoch: "E"},
		}
	}
	removal := &podiumv1.WatchResponse{Removals: []*podiumv1.WatchRemoval{{Arm: "a"}}}
	sent := [][]*podiumv1.WatchResponse{
		{arm("a"), arm("b"), removal, marker(7), marker(7), arm("lost")},
		{arm("c"), {Reset_: true}, arm("d"), marker(9)},
	}
	if len(s.requests) > len(sent) {
		return status.Error(codes.NotFound, "deleted")
	}
	for _, response := range sent[len(s.requests)-1] {
		if err := stream.Send(response); err != nil {
			return err
		}
	}
	return status.Error(codes.Unavailable, "stopping")
}

// A watch whose connection is lost continues after the last complete update.
func TestAWatchContinues(t *testing.T) {
	service, listener := &broken{}, listening(t)
	serve(t, listener, service)
	experiment := connected(t, listener.Addr().String()).Experiment("x")
	found := []string{}
	for update, err := range experiment.Watch(t.Context(), podium.WatchOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, item := range update.Arms {
			names = append(names, item.Arm.Name)
		}
		found = append(found, fmt.Sprint(names, update.Reset_, update.Marker.GetRevision(), update.Deleted))
	}
	if text := fmt.Sprint(found); text != "[[b] false 7 false [d] true 9 false [] false 0 true]" {
		t.Errorf("the updates are %v", text)
	}
	after := []string{}
	for _, request := range service.requests {
		after = append(after, fmt.Sprint(request.GetAfterRevision(), request.GetEpoch()))
	}
	if text := fmt.Sprint(after); text != "[0 7E 9E]" && text != "[0  7 E 9 E]" {
		t.Errorf("the calls continue after %v", text)
	}
}
