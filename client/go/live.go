package podium

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"podium.example/podium/podiumv1"
)

// LiveState is the state of an experiment at one revision. It never changes.
type LiveState struct {
	// Experiment has the fields of the last declaration.
	Experiment *podiumv1.Experiment
	// Revision is the revision of this state.
	Revision int64
	// Arms has the arms in the order of their creation. Each answers Eval and Score.
	Arms []*ArmResult

	known map[string]liveArm
}

// Arm returns the arm of that name, or nil if there is none.
func (s *LiveState) Arm(name string) *ArmResult {
	return s.known[name].result
}

// Live follows an experiment: its state in memory, which is always the complete state of one revision.
// Its methods may be used by several goroutines.
type Live struct {
	cancel  context.CancelFunc
	ended   chan struct{}
	mutex   sync.Mutex
	state   *LiveState
	heard   time.Time
	err     error
	changed chan struct{}
}

// Follow watches the experiment in a goroutine, and keeps its state in memory until Close is called or
// the context ends. It returns when the first state is complete. Reads of the state make no calls. With
// the filters of the options, less is kept. Training series are kept with WithSeries, 16 bytes a point.
func (e *Experiment) Follow(ctx context.Context, options WatchOptions) (*Live, error) {
	options.After = nil
	ctx, cancel := context.WithCancel(ctx)
	live := &Live{
		cancel: cancel, ended: make(chan struct{}), changed: make(chan struct{}),
		state: &LiveState{}, heard: time.Now(),
	}
	go live.follow(ctx, e.watching(options))
	err := live.WaitUntil(ctx, func(state *LiveState) bool { return state.Revision > 0 })
	if err != nil {
		live.Close()
		return nil, err
	}
	return live, nil
}

// Close ends the watch. The last state remains.
func (l *Live) Close() {
	l.cancel()
	<-l.ended
}

// State returns the newest state. Several reads of one state are consistent.
func (l *Live) State() *LiveState {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.state
}

// Arm returns the arm of that name in the newest state, or nil if there is none.
func (l *Live) Arm(name string) *ArmResult {
	return l.State().Arm(name)
}

// Revision returns the revision of the newest state.
func (l *Live) Revision() int64 {
	return l.State().Revision
}

// Lag returns the time since the server last confirmed that the state is current. The state has every
// commit that is older than this. While nothing changes, the server confirms it every 10 s.
func (l *Live) Lag() time.Duration {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return time.Since(l.heard)
}

// WaitFor waits until the state has a revision, such as the one that a recording call returned.
func (l *Live) WaitFor(ctx context.Context, revision int64) error {
	return l.WaitUntil(ctx, func(state *LiveState) bool { return state.Revision >= revision })
}

// WaitUntil waits until a function of the state returns true. It calls the function with the newest
// state, and again after each change. It returns the error of the context if that ends, and the error of
// the watch if the state will not change any more: NotFound after the experiment was deleted.
func (l *Live) WaitUntil(ctx context.Context, isReached func(*LiveState) bool) error {
	for {
		l.mutex.Lock()
		state, changed, err := l.state, l.changed, l.err
		l.mutex.Unlock()
		if isReached(state) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Live) follow(ctx context.Context, w *watch) {
	defer close(l.ended)
	w.heard = func() { l.set(nil, nil) }
	w.run(ctx, func(update *podiumv1.WatchResponse, err error) bool {
		switch {
		case err != nil:
			l.set(nil, err)
		case update.Deleted:
			l.set(nil, &Error{Code: codes.NotFound, Message: "the experiment was deleted"})
		default:
			l.set(l.State().after(update), nil)
		}
		return err == nil
	})
}

// set replaces the state or the error. With neither, it notes that the server has confirmed the state.
func (l *Live) set(state *LiveState, err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err == nil {
		l.heard = time.Now()
	}
	if state == nil && err == nil {
		return
	}
	if state != nil {
		l.state = state
	}
	l.err = err
	close(l.changed)
	l.changed = make(chan struct{})
}

type rowKey struct {
	name    string
	hasStep bool
	step    int64
}

type liveArm struct {
	watched *podiumv1.WatchedArm
	rows    map[rowKey]*podiumv1.WatchedEval
	points  map[string]livePoints
	result  *ArmResult
}

// after returns the state after an update.
func (s *LiveState) after(update *podiumv1.WatchResponse) *LiveState {
	next := &LiveState{Experiment: s.Experiment, Revision: update.Marker.Revision, known: map[string]liveArm{}}
	if update.Experiment != nil {
		next.Experiment = update.Experiment
	}
	if !update.Reset_ {
		next.known = maps.Clone(s.known)
		if next.known == nil {
			next.known = map[string]liveArm{}
		}
	}
	changed := map[string]*liveArm{}
	arm := func(name string) *liveArm {
		if changed[name] == nil {
			before := next.known[name]
			changed[name] = &liveArm{watched: before.watched, rows: maps.Clone(before.rows), points: before.points}
			if changed[name].rows == nil {
				changed[name].rows = map[rowKey]*podiumv1.WatchedEval{}
			}
		}
		return changed[name]
	}
	for _, gone := range update.Removals {
		if gone.Name == nil {
			delete(next.known, gone.Arm)
			delete(changed, gone.Arm)
		} else {
			delete(arm(gone.Arm).rows, rowKey{gone.GetName(), gone.Step != nil, gone.GetStep()})
		}
	}
	for _, item := range update.Arms {
		arm(item.GetArm().GetName()).watched = item
	}
	for _, item := range update.Evals {
		row := item.GetEvalResult()
		arm(item.Arm).rows[rowKey{row.GetName(), row.Step != nil, row.GetStep()}] = item
	}
	for _, piece := range update.Series {
		arm(piece.Arm).replacePoints(piece)
	}
	for name, item := range changed {
		if item.watched != nil {
			item.result = item.asResult()
			next.known[name] = *item
		}
	}
	next.Arms = next.inOrder()
	return next
}

func (s *LiveState) inOrder() []*ArmResult {
	arms := slices.SortedFunc(maps.Values(s.known), func(left, right liveArm) int {
		return cmp.Compare(left.watched.Position, right.watched.Position)
	})
	results := make([]*ArmResult, len(arms))
	for place, arm := range arms {
		results[place] = arm.result
	}
	return results
}

// replacePoints replaces the points of the arm from the step of a piece on.
func (a *liveArm) replacePoints(piece *podiumv1.WatchedSeries) {
	kept := map[string]livePoints{}
	for key, points := range a.points {
		kept[key] = points.before(piece.FromStep)
	}
	for _, one := range piece.Series {
		points := kept[one.Key]
		kept[one.Key] = livePoints{append(points.steps, one.Steps...), append(points.values, one.Values...)}
	}
	a.points = kept
}

// asResult returns the arm with its rows, as Arm.Get does.
func (a *liveArm) asResult() *ArmResult {
	arm := a.watched.GetArm()
	result := &podiumv1.ArmResult{
		Name: arm.Name, RunConfig: arm.RunConfig, Status: arm.Status, Metrics: arm.Metrics,
		RunId: arm.RunId, Error: arm.Error, TrainSeconds: arm.TrainSeconds,
		RunResult: a.watched.RunResult, GroupId: arm.GroupId, GroupName: arm.GroupName,
		Experiment: arm.Experiment, Revision: arm.Revision, CreateTime: arm.CreateTime,
		UpdateTime: arm.UpdateTime, Attempt: arm.Attempt, LastHeard: arm.LastHeard,
		Annotations: arm.Annotations, Tags: arm.Tags,
	}
	if len(a.rows) == 0 {
		result.EvalMetrics, result.EvalBreakdowns = arm.EvalMetrics, a.watched.EvalBreakdowns
		result.EvalSeconds = arm.EvalSeconds
	}
	rows := slices.SortedFunc(maps.Values(a.rows), func(left, right *podiumv1.WatchedEval) int {
		return cmp.Compare(left.Position, right.Position)
	})
	for _, row := range rows {
		result.Evals = append(result.Evals, row.EvalResult)
	}
	return NewArmResult(result)
}
