package podium

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"google.golang.org/grpc/codes"

	"podium.example/podium/podiumv1"
)

// shownSources is the most sources that a ranking lists.
const shownSources = 100

// Curve is the values of a metric by step, of one arm.
type Curve struct {
	// Arm is the name of the arm.
	Arm string
	// Steps has the steps that have a value, in order.
	Steps []int64
	// Values has the value at each of the steps, which may be NaN.
	Values []float64
}

// Best returns the completed arm with the best score on the metric, and the score; nil if no arm has one.
// An empty metric means the experiment's success_metric, and an unspecified direction the experiment's
// direction for the metric. NaN is never the best, and of equal scores the first arm's counts.
func (s *LiveState) Best(metric string, direction podiumv1.Direction) (best *ArmResult, score float64) {
	found, err := s.Rank(metric, direction)
	if err != nil || len(found.Arms) == 0 || found.Arms[0].Score == nil || math.IsNaN(*found.Arms[0].Score) {
		return nil, 0
	}
	return s.Arm(found.Arms[0].Arm), *found.Arms[0].Score
}

// Rank returns the arms in the order of their scores, as Experiment.Rank does. An empty metric means the
// experiment's success_metric, and an unspecified direction the experiment's direction for the metric.
// Without statuses, it ranks the completed arms. It is an error if there is no metric.
func (s *LiveState) Rank(
	metric string, direction podiumv1.Direction, statuses ...podiumv1.ArmStatus,
) (*podiumv1.RankResponse, error) {
	if metric == "" {
		metric = s.Experiment.GetSuccessMetric()
	}
	if metric == "" {
		return nil, &Error{
			Code: codes.FailedPrecondition, Reason: "METRIC_MISSING",
			Message: "give a metric: the experiment has no success_metric",
		}
	}
	if direction == podiumv1.Direction_DIRECTION_UNSPECIFIED {
		direction = s.directionFor(metric)
	}
	if len(statuses) == 0 {
		statuses = []podiumv1.ArmStatus{podiumv1.ArmStatus_ARM_STATUS_COMPLETED}
	}
	found := &podiumv1.RankResponse{
		Metric: metric, Direction: direction, Revision: s.Revision,
		Counts: &podiumv1.RankCounts{LeftOut: &podiumv1.ArmCounts{}},
	}
	for _, arm := range s.Arms {
		if slices.Contains(statuses, arm.GetStatus()) {
			found.Arms = append(found.Arms, scored(arm, metric))
		} else {
			countLeftOut(found.Counts.LeftOut, arm.GetStatus())
		}
	}
	flagAndCount(found)
	inOrderOfScores(found.Arms, direction)
	return found, nil
}

// Curve returns the values of a metric by step, of each running or completed arm that has some. The metric
// is an eval and a key, such as val.acc, or a training metric, such as loss. Training series are followed
// with WithSeries.
func (s *LiveState) Curve(metric string) []Curve {
	curves := []Curve{}
	for _, arm := range s.Arms {
		status := arm.GetStatus()
		if status != podiumv1.ArmStatus_ARM_STATUS_RUNNING && status != podiumv1.ArmStatus_ARM_STATUS_COMPLETED {
			continue
		}
		points := evalPoints(arm, metric)
		if len(points.steps) == 0 {
			points = s.known[arm.GetName()].points[metric]
		}
		if len(points.steps) > 0 {
			curves = append(curves, Curve{arm.GetName(), slices.Clone(points.steps), slices.Clone(points.values)})
		}
	}
	return curves
}

// directionFor returns the direction of a metric: the experiment's for its success_metric, else the one that
// its metadata states for the metric, else the experiment's, else MAXIMIZE.
func (s *LiveState) directionFor(metric string) podiumv1.Direction {
	declared := s.Experiment.GetDirection()
	isSuccess := declared != podiumv1.Direction_DIRECTION_UNSPECIFIED && metric == s.Experiment.GetSuccessMetric()
	if !isSuccess {
		switch s.Experiment.GetMetadata()["direction:"+metric].GetStringValue() {
		case "maximize":
			return podiumv1.Direction_DIRECTION_MAXIMIZE
		case "minimize":
			return podiumv1.Direction_DIRECTION_MINIMIZE
		}
	}
	return max(declared, podiumv1.Direction_DIRECTION_MAXIMIZE)
}

// scored returns an arm and its score, without a place.
func scored(arm *ArmResult, metric string) *podiumv1.RankedArm {
	entry := &podiumv1.RankedArm{Arm: arm.GetName(), GroupName: arm.GroupName, Status: arm.GetStatus()}
	score, _ := arm.FindScore(metric) // an error only for an empty metric
	if score == nil {
		return entry
	}
	entry.Score, entry.Source = &score.Value, score.Source
	if name := score.Source.EvalName; name != nil {
		row := arm.Eval(*name)
		if score.Source.Step != nil {
			row = arm.EvalAt(*name, *score.Source.Step)
		}
		if row != nil {
			entry.BenchmarkId = row.BenchmarkId
		}
	}
	return entry
}

type source struct {
	origin               podiumv1.ScoreOrigin
	isEval, hasBenchmark bool
	eval, benchmark      string
}

// flagAndCount sets the flags of the arms, and the counts and sources of the ranking.
func flagAndCount(found *podiumv1.RankResponse) {
	counts, benchmarks := map[source]int64{}, map[string]map[string]bool{}
	for _, arm := range found.Arms {
		if arm.Source == nil {
			continue
		}
		counts[source{
			arm.Source.Origin, arm.Source.EvalName != nil, arm.BenchmarkId != nil,
			arm.Source.GetEvalName(), arm.GetBenchmarkId(),
		}]++
		if name := arm.Source.EvalName; name != nil {
			if benchmarks[*name] == nil {
				benchmarks[*name] = map[string]bool{}
			}
			benchmarks[*name][cmp.Or(arm.GetBenchmarkId(), *name)] = true
		}
	}
	for _, arm := range found.Arms {
		switch {
		case arm.Score == nil:
			found.Counts.WithoutScore++
		case math.IsNaN(*arm.Score):
			found.Counts.Nans++
			arm.Flags = append(arm.Flags, podiumv1.RankFlag_RANK_FLAG_NAN)
		default:
			found.Counts.Numbers++
		}
		if arm.Source != nil && len(benchmarks[arm.Source.GetEvalName()]) > 1 {
			arm.Flags = append(arm.Flags, podiumv1.RankFlag_RANK_FLAG_BENCHMARKS_DIFFER)
		}
	}
	found.Sources = sourcesOf(counts)
}

// sourcesOf returns the sources, the most frequent one first.
func sourcesOf(counts map[source]int64) []*podiumv1.RankSource {
	order := slices.SortedFunc(maps.Keys(counts), func(left, right source) int {
		return cmp.Or(
			cmp.Compare(counts[right], counts[left]), cmp.Compare(left.origin, right.origin),
			cmp.Compare(left.eval, right.eval), cmp.Compare(left.benchmark, right.benchmark),
		)
	})
	sources := []*podiumv1.RankSource{}
	for _, one := range order[:min(len(order), shownSources)] {
		shown := &podiumv1.RankSource{Origin: one.origin, Scores: counts[one]}
		if one.isEval {
			shown.EvalName = &one.eval
		}
		if one.hasBenchmark {
			shown.BenchmarkId = &one.benchmark
		}
		sources = append(sources, shown)
	}
	return sources
}

// inOrderOfScores sorts arms, the best first, and sets their places. Equal scores share a place.
func inOrderOfScores(arms []*podiumv1.RankedArm, direction podiumv1.Direction) {
	slices.SortStableFunc(arms, func(left, right *podiumv1.RankedArm) int {
		return compareScores(left.Score, right.Score, direction)
	})
	rank := int64(0)
	for place, arm := range arms {
		if arm.Score == nil {
			return
		}
		if place == 0 || compareScores(arms[place-1].Score, arm.Score, direction) != 0 {
			rank = int64(place) + 1
		}
		shared := rank
		arm.Rank = &shared
	}
}

// compareScores is negative if the left score comes first: numbers, then NaN, then no score.
func compareScores(left, right *float64, direction podiumv1.Direction) int {
	section := func(score *float64) int {
		switch {
		case score == nil:
			return 2
		case math.IsNaN(*score):
			return 1
		}
		return 0
	}
	if order := cmp.Compare(section(left), section(right)); order != 0 || section(left) > 0 {
		return order
	}
	if direction == podiumv1.Direction_DIRECTION_MINIMIZE {
		return cmp.Compare(*left, *right)
	}
	return cmp.Compare(*right, *left)
}

func countLeftOut(counts *podiumv1.ArmCounts, status podiumv1.ArmStatus) {
	switch status {
	case podiumv1.ArmStatus_ARM_STATUS_PENDING:
		counts.Pending++
	case podiumv1.ArmStatus_ARM_STATUS_RUNNING:
		counts.Running++
	case podiumv1.ArmStatus_ARM_STATUS_COMPLETED:
		counts.Completed++
	case podiumv1.ArmStatus_ARM_STATUS_FAILED:
		counts.Failed++
	case podiumv1.ArmStatus_ARM_STATUS_CANCELLED:
		counts.Cancelled++
	}
}

// livePoints is the points of a series in one state, in the order of the steps. Later states share its arrays.
type livePoints struct {
	steps  []int64
	values []float64
}

// before returns the points before a step. To append to fewer points copies them, so that earlier states
// keep theirs.
func (p livePoints) before(step int64) livePoints {
	at, _ := slices.BinarySearch(p.steps, step)
	if at == len(p.steps) {
		return p
	}
	return livePoints{slices.Clip(p.steps[:at]), slices.Clip(p.values[:at])}
}

// evalPoints returns the in-loop values of the first split of a metric that has some.
func evalPoints(arm *ArmResult, metric string) livePoints {
	for dot := range len(metric) {
		if metric[dot] != '.' {
			continue
		}
		values := map[int64]float64{}
		for _, row := range arm.distinctRows() {
			value, found := row.GetMetrics()[metric[dot+1:]]
			if found && row.GetName() == metric[:dot] && row.Step != nil {
				values[row.GetStep()] = value
			}
		}
		if len(values) > 0 {
			points := livePoints{steps: slices.Sorted(maps.Keys(values))}
			for _, step := range points.steps {
				points.values = append(points.values, values[step])
			}
			return points
		}
	}
	return livePoints{}
}
