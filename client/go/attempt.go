package podium

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"podium.example/podium/podiumv1"
)

// The longest error text that is sent. The server shortens texts further.
const maxErrorBytes = 1 << 20

// ArmRun is an attempt at training an arm, which StartArm starts. Any number of goroutines may
// share it; it makes one call at a time.
//
// Each call records one event and returns after the server has stored it. Until the deadline of its
// context, or else for StartOptions.Timeout, it is retried if no server answers or the connection
// breaks. The event is stored exactly once. It is lost only if the call fails or the process ends.
type ArmRun struct {
	*Arm
	attemptID string
	timeout   time.Duration

	// turn holds a value while a call is made. The fields below belong to that call.
	turn       chan struct{}
	writer     string
	sequence   int64
	ending     *FinishOptions
	isFinished bool
}

// StartOptions are the optional arguments of StartArm. The zero value means none.
type StartOptions struct {
	// Name is the name of the arm. Empty means the name of the configuration.
	Name string
	// GroupID and GroupName name the group of arms that repeat one configuration.
	GroupID, GroupName *string
	// RunID is the id of the training run in the system that runs it.
	RunID *string
	// AttemptID is an id that no other attempt uses. Empty means a random one.
	AttemptID string
	// Order decides which attempt is the newest: the one with the greatest order. Nil means the time
	// in milliseconds since 1970. If a scheduler counts restarts, its count is better.
	Order *int64
	// ResumeStep continues after this step: metrics and in-loop rows up to it are kept.
	ResumeStep *int64
	// Restart starts the arm from the beginning, even if it has completed.
	Restart bool
	// Timeout limits the retries of each call of the attempt if its context has no deadline. 0 means
	// WriteTimeout. A shorter outage loses nothing.
	Timeout time.Duration
}

// FinishOptions describe the end of a training. The zero value means that it completed.
type FinishOptions struct {
	// Status is completed, failed or cancelled. Unspecified means completed.
	Status podiumv1.ArmStatus
	// Error is the reason of a failure.
	Error *string
	// TrainSeconds is the duration of the training.
	TrainSeconds *float64
	// RunResult is the result of the training backend.
	RunResult *podiumv1.RunResult
}

// StartArm starts an attempt at training an arm. From then on, the status of the arm is running. An
// experiment that was not declared is an error.
func (e *Experiment) StartArm(
	ctx context.Context, config *podiumv1.RunConfig, options StartOptions,
) (*ArmRun, error) {
	started, err := armStarted(config, options)
	if err != nil {
		return nil, err
	}
	run := &ArmRun{
		Arm:       e.Arm(started.Arm),
		attemptID: started.Attempt.Id,
		timeout:   options.Timeout,
		turn:      make(chan struct{}, 1),
	}
	run.startStream()
	if err := run.record(ctx, ArmStarted(started)); err != nil {
		return nil, err
	}
	return run, nil
}

// RunArm starts an attempt, calls train with it, and records the end: completed if train returns
// nil, cancelled if it returns context.Canceled, and failed with the error otherwise or if it
// panics. After Finish it records no other end. It returns the error of train, joined with the
// error of recording the end.
func (e *Experiment) RunArm(
	ctx context.Context, config *podiumv1.RunConfig, options StartOptions,
	train func(ctx context.Context, run *ArmRun) error,
) error {
	run, err := e.StartArm(ctx, config, options)
	if err != nil {
		return err
	}
	// The end is recorded even if the training was cancelled.
	ending := context.WithoutCancel(ctx)
	defer func() {
		if cause := recover(); cause != nil {
			_ = run.end(ending, failedWith(fmt.Sprintf("panic: %v\n\n%s", cause, debug.Stack())))
			panic(cause)
		}
	}()
	err = train(ctx, run)
	return errors.Join(err, run.end(ending, endOf(err)))
}

// AttemptID returns the id of this attempt.
func (r *ArmRun) AttemptID() string {
	return r.attemptID
}

// Log records training metrics. The latest value of each key is kept.
func (r *ArmRun) Log(ctx context.Context, metrics map[string]float64) error {
	return r.log(ctx, metrics, nil)
}

// LogAt records training metrics at a training step. They are also points of the training series.
func (r *ArmRun) LogAt(ctx context.Context, metrics map[string]float64, step int64) error {
	return r.log(ctx, metrics, &step)
}

func (r *ArmRun) log(ctx context.Context, metrics map[string]float64, step *int64) error {
	event := MetricsRecorded(r.name, metrics)
	event.GetMetricsRecorded().Step, event.GetMetricsRecorded().AttemptId = step, &r.attemptID
	return r.record(ctx, event)
}

// LogEval records an eval row. It replaces a row with the same name and step. A row without a step
// is a post-training row.
func (r *ArmRun) LogEval(ctx context.Context, row *podiumv1.EvalResult) error {
	event := EvalRecorded(r.name, row)
	event.GetEvalRecorded().AttemptId = &r.attemptID
	return r.record(ctx, event)
}

// Finish records how the training ended. A later call replaces an earlier one.
func (r *ArmRun) Finish(ctx context.Context, options FinishOptions) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	return r.finish(ctx, options)
}

func (r *ArmRun) finish(ctx context.Context, options FinishOptions) error {
	if options.Status == podiumv1.ArmStatus_ARM_STATUS_UNSPECIFIED {
		options.Status = podiumv1.ArmStatus_ARM_STATUS_COMPLETED
	}
	if options.Error != nil {
		text := errorText(*options.Error)
		options.Error = &text
	}
	r.ending = &options
	err := r.send(ctx, ArmFinished(&podiumv1.ArmFinished{
		Arm: r.name, AttemptId: &r.attemptID, Status: options.Status, Error: options.Error,
		TrainSeconds: options.TrainSeconds, RunResult: options.RunResult,
	}))
	r.isFinished = r.isFinished || err == nil
	return err
}

// end records an end unless Finish has recorded one. If Finish failed, its end is recorded.
func (r *ArmRun) end(ctx context.Context, options FinishOptions) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	if r.isFinished {
		return nil
	}
	if r.ending != nil {
		options = *r.ending
	}
	return r.finish(ctx, options)
}

// record records the next event of the stream. One call at a time keeps the events in order.
func (r *ArmRun) record(ctx context.Context, event *podiumv1.Event) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	return r.send(ctx, event)
}

func (r *ArmRun) send(ctx context.Context, event *podiumv1.Event) error {
	if _, has := ctx.Deadline(); !has && r.timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, r.timeout)
		defer cancel()
		ctx = limited
	}
	position := &podiumv1.StreamPosition{WriterId: r.writer, FirstSequence: r.sequence}
	_, err := r.client.Experiment(r.experiment).RecordAt(ctx, position, event)
	if r.sequence++; err != nil {
		// The server may get the failed call later, and would skip another event in its place.
		r.startStream()
	}
	return err
}

// lock waits until no other call is made, or the context ends.
func (r *ArmRun) lock(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fromCall(status.FromContextError(ctx.Err()).Err())
	}
}

func (r *ArmRun) unlock() {
	<-r.turn
}

func (r *ArmRun) startStream() {
	r.writer, r.sequence = rand.Text(), 1
}

func armStarted(
	config *podiumv1.RunConfig, options StartOptions,
) (*podiumv1.ArmStarted, error) {
	started := &podiumv1.ArmStarted{
		Arm: options.Name, RunConfig: config,
		Attempt: &podiumv1.Attempt{Id: options.AttemptID, Order: options.Order},
		GroupId: options.GroupID, GroupName: options.GroupName, RunId: options.RunID,
	}
	if started.Arm == "" {
		started.Arm = config.GetName()
	}
	if started.Attempt.Id == "" {
		started.Attempt.Id = rand.Text()
	}
	if started.Attempt.Order == nil {
		now := time.Now().UnixMilli()
		started.Attempt.Order = &now
	}
	switch {
	case options.ResumeStep != nil && options.Restart:
		return nil, &Error{
			Code:    codes.InvalidArgument,
			Message: "give ResumeStep, to resume, or Restart, to start over; not both",
		}
	case options.ResumeStep != nil:
		started.Mode = &podiumv1.ArmStarted_ResumeStep{ResumeStep: *options.ResumeStep}
	case options.Restart:
		started.Mode = &podiumv1.ArmStarted_Restart{Restart: true}
	}
	return started, nil
}

// endOf returns the end of a training from its error, which can be nil.
func endOf(err error) FinishOptions {
	if err == nil {
		return FinishOptions{}
	}
	end := failedWith(err.Error())
	if errors.Is(err, context.Canceled) {
		end.Status = podiumv1.ArmStatus_ARM_STATUS_CANCELLED
	}
	return end
}

func failedWith(text string) FinishOptions {
	return FinishOptions{Status: podiumv1.ArmStatus_ARM_STATUS_FAILED, Error: &text}
}

// errorText returns a text that can be sent: valid UTF-8, without NUL, and without the middle of a
// text that is too long.
func errorText(text string) string {
	if len(text) > maxErrorBytes {
		text = text[:maxErrorBytes/2] + "\n…\n" + text[len(text)-maxErrorBytes/2:]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", `\x00`)
}
