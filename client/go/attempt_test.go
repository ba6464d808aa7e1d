package podium_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

var lora = &podiumv1.RunConfig{Name: "lora"}

// A block records metrics and evals of an attempt, and completes the arm.
func TestABlockRecordsAnAttempt(t *testing.T) {
	experiment := declared(t)
	group := "rank4"
	options := podium.StartOptions{Name: "a", GroupName: &group}
	err := experiment.RunArm(t.Context(), lora, options,
		func(ctx context.Context, run *podium.ArmRun) error {
			if err := run.LogAt(ctx, metrics{"loss": 0.5}, 0); err != nil {
				return err
			}
			if err := run.Log(ctx, metrics{"loss": 0.25}); err != nil {
				return err
			}
			return run.LogEval(ctx, row("test", metrics{"acc": 0.75}))
		})
	if err != nil {
		t.Fatal(err)
	}
	arm, err := experiment.Arm("a").Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if arm.Status != completed || arm.Metrics["loss"] != 0.25 || arm.GetGroupName() != "rank4" {
		t.Errorf("the arm is %v", arm)
	}
	if acc, found, err := arm.Score("test.acc"); acc != 0.75 || !found || err != nil {
		t.Errorf("score is %v, %v, %v", acc, found, err)
	}
	started := time.UnixMilli(arm.Attempt.GetOrder())
	if arm.Attempt.Id == "" || time.Since(started).Abs() > time.Hour {
		t.Errorf("the attempt is %v", arm.Attempt)
	}
}

const (
	completed = podiumv1.ArmStatus_ARM_STATUS_COMPLETED
	failed    = podiumv1.ArmStatus_ARM_STATUS_FAILED
	cancelled = podiumv1.ArmStatus_ARM_STATUS_CANCELLED
)

// The result of a block decides how its arm ends, unless Finish was called.
func TestTheEndOfABlock(t *testing.T) {
	experiment := declared(t)
	outOfMemory := errors.New("out of memory\x00\xff")
	for name, block := range map[string]struct {
		train  func(ctx context.Context, run *podium.ArmRun) error
		status podiumv1.ArmStatus
		text   string
	}{
		"returns": {func(context.Context, *podium.ArmRun) error { return nil }, completed, ""},
		"fails": {
			func(context.Context, *podium.ArmRun) error { return outOfMemory },
			failed, "out of memory\\x00\uFFFD",
		},
		"is cancelled": {
			func(context.Context, *podium.ArmRun) error {
				return fmt.Errorf("step 7: %w", context.Canceled)
			},
			cancelled, "step 7: context canceled",
		},
		"has finished": {
			func(ctx context.Context, run *podium.ArmRun) error {
				return run.Finish(ctx, podium.FinishOptions{Status: cancelled})
			},
			cancelled, "",
		},
	} {
		options := podium.StartOptions{Name: name}
		err := experiment.RunArm(t.Context(), lora, options, block.train)
		if (err == nil) != (block.status == completed || name == "has finished") {
			t.Errorf("%s: %v", name, err)
		}
		arm, err := experiment.Arm(name).Get(t.Context())
		if err != nil || arm.Status != block.status || arm.GetError() != block.text {
			t.Errorf("%s: %v, %v", name, arm, err)
		}
	}
}

// A block that panics fails its arm, with the text and the stack; the panic goes on.
func TestABlockThatPanics(t *testing.T) {
	experiment := declared(t)
	func() {
		defer func() {
			if cause := recover(); cause != "index 3 out of range" {
				t.Errorf("it panics with %v", cause)
			}
		}()
		_ = experiment.RunArm(t.Context(), lora, podium.StartOptions{},
			func(context.Context, *podium.ArmRun) error { panic("index 3 out of range") })
	}()
	arm, err := experiment.Arm("lora").Get(t.Context())
	if err != nil || arm.Status != failed ||
		!strings.HasPrefix(arm.GetError(), "panic: index 3 out of range\n\ngoroutine ") {
		t.Errorf("the arm is %v, %v", arm, err)
	}
}

// A block whose context was cancelled still records its end.
func TestTheEndOfACancelledBlock(t *testing.T) {
	experiment := declared(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := experiment.RunArm(ctx, lora, podium.StartOptions{},
		func(ctx context.Context, run *podium.ArmRun) error {
			cancel()
			return run.Log(ctx, metrics{"loss": 1})
		})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled block: %v", err)
	}
	arm, err := experiment.Arm("lora").Get(t.Context())
	if err != nil || arm.Status != cancelled || len(arm.Metrics) != 0 {
		t.Errorf("the arm is %v, %v", arm, err)
	}
}

// What an earlier attempt logs is rejected once a newer one has started; a rejected call of the newer
// one leaves it usable.
func TestAttemptsThatFollowEachOther(t *testing.T) {
	experiment := declared(t)
	order, step := int64(1), int64(0)
	first := started(t, experiment, podium.StartOptions{AttemptID: "A", Order: &order})
	if err := first.LogAt(t.Context(), metrics{"loss": 0.5}, 0); err != nil {
		t.Fatal(err)
	}
	order = 2
	second := started(t, experiment, podium.StartOptions{
		AttemptID: "B", Order: &order, ResumeStep: &step,
	})
	err := first.Log(t.Context(), metrics{"loss": 7})
	if !podium.HasReason(err, podiumv1.ErrorReason_ERROR_REASON_STALE_ATTEMPT) {
		t.Errorf("the first attempt: %v", err)
	}
	if err := second.Log(t.Context(), metrics{"": 1}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a metric without a name: %v", err)
	}
	if err := second.Log(t.Context(), metrics{"ppl": 2}); err != nil {
		t.Error(err)
	}
	arm, err := second.Get(t.Context())
	if err != nil || arm.Attempt.Id != second.AttemptID() || arm.Attempt.Id != "B" {
		t.Fatal(arm, err)
	}
	if len(arm.Metrics) != 2 || arm.Metrics["loss"] != 0.5 || arm.Metrics["ppl"] != 2 {
		t.Errorf("the metrics are %v", arm.Metrics)
	}
	_, err = experiment.StartArm(t.Context(), lora, podium.StartOptions{
		ResumeStep: &step, Restart: true,
	})
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "not both") {
		t.Errorf("both modes: %v", err)
	}
}

func started(
	t *testing.T, experiment *podium.Experiment, options podium.StartOptions,
) *podium.ArmRun {
	t.Helper()
	run, err := experiment.StartArm(t.Context(), lora, options)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// Goroutines that share an attempt lose nothing: each of their calls has a place of its own.
func TestAnAttemptIsSharedByGoroutines(t *testing.T) {
	run := started(t, declared(t), podium.StartOptions{})
	var group sync.WaitGroup
	for worker := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			for step := range 5 {
				key := fmt.Sprintf("m%d.%d", worker, step)
				if err := run.LogAt(t.Context(), metrics{key: 1}, int64(step)); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	if arm, err := run.Get(t.Context()); err != nil || len(arm.Metrics) != 20 {
		t.Errorf("the arm is %v, %v", arm, err)
	}
}

// positions is a server that notes where the events of each call are in their stream.
type positions struct {
	podiumv1.UnimplementedResultsServiceServer
	podiumv1.UnimplementedRecordingServiceServer
	fail func(call int) error

	mutex sync.Mutex
	seen  []*podiumv1.StreamPosition
}

func (s *positions) Record(
	_ context.Context, request *podiumv1.RecordRequest,
) (*podiumv1.RecordResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.seen = append(s.seen, request.Position)
	return &podiumv1.RecordResponse{}, s.fail(len(s.seen))
}

// A call that may have been stored is repeated with its place in the stream. After a call that failed,
// the attempt goes on in another stream.
func TestCallsOfAnAttemptAreRepeated(t *testing.T) {
	service := &positions{fail: func(call int) error {
		return map[int]error{
			2: status.Error(codes.Unavailable, "stopping"),
			3: status.Error(codes.Unavailable, "stopping"),
			5: status.Error(codes.InvalidArgument, "no"),
		}[call]
	}}
	listener := listening(t)
	serve(t, listener, service)
	run := started(t, connected(t, listener.Addr().String()).Experiment("x"), podium.StartOptions{})
	for call := range 4 {
		err := run.Log(t.Context(), metrics{"loss": float64(call)})
		if (err != nil) != (call == 1) {
			t.Errorf("call %d: %v", call, err)
		}
	}
	places := []int64{}
	for _, position := range service.seen {
		places = append(places, position.FirstSequence)
	}
	if found := fmt.Sprint(places); found != "[1 2 2 2 3 1 2]" {
		t.Errorf("the places are %v", found)
	}
	writers := map[string]int{}
	for _, position := range service.seen {
		writers[position.WriterId]++
	}
	if first := service.seen[0].WriterId; len(writers) != 2 || writers[first] != 5 {
		t.Errorf("the writers are %v", writers)
	}
}

// A call ends at the deadline of its attempt, and says that the event may have been stored.
func TestTheTimeoutOfAnAttempt(t *testing.T) {
	service := &positions{fail: func(call int) error {
		if call == 1 {
			return nil
		}
		return status.Error(codes.Unavailable, "stopping")
	}}
	listener := listening(t)
	serve(t, listener, service)
	run := started(t, connected(t, listener.Addr().String()).Experiment("x"),
		podium.StartOptions{Timeout: 500 * time.Millisecond})
	begin := time.Now()
	err := run.Log(t.Context(), metrics{"loss": 1})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "is unknown") {
		t.Errorf("an outage: %v", err)
	}
	if took := time.Since(begin); took > podium.WriteTimeout/2 {
		t.Errorf("it took %v", took)
	}
}
