package podium

import (
	"math"
	"slices"
	"strings"

	"podium.example/podium/podiumv1"
)

// ArmResult is an arm in this process, from Arm.Get or built by hand. Its methods have the results of the
// server's, and make no calls.
//
// If the eval fields are empty, GetEvalMetrics, GetEvalBreakdowns and GetEvalSeconds return those of the
// primary eval. The fields themselves have the given values.
type ArmResult struct {
	*podiumv1.ArmResult
}

// NewArmResult returns an arm with the methods Eval and Score. It uses the message and does not copy it.
func NewArmResult(message *podiumv1.ArmResult) *ArmResult {
	return &ArmResult{message}
}

// Score is a score and its source. NaN is a score.
type Score struct {
	Value  float64
	Source *podiumv1.ScoreSource
}

// Eval returns the post-training row of that name, or else the in-loop row with the greatest step, or
// else nil. Of rows with the same name and step, the first one is used.
func (a *ArmResult) Eval(name string) *podiumv1.EvalResult {
	var best *podiumv1.EvalResult
	for _, row := range a.GetEvals() {
		if row.GetName() != name {
			continue
		}
		if row.Step == nil {
			return row
		}
		if best == nil || row.GetStep() > best.GetStep() {
			best = row
		}
	}
	return best
}

// EvalAt returns the in-loop row of that name at exactly that step, or nil. It never returns the
// post-training row or the nearest one.
func (a *ArmResult) EvalAt(name string, step int64) *podiumv1.EvalResult {
	for _, row := range a.GetEvals() {
		if row.GetName() == name && row.Step != nil && row.GetStep() == step {
			return row
		}
	}
	return nil
}

// Score returns the score on a metric, and whether there is one. An empty metric is an error.
func (a *ArmResult) Score(metric string) (value float64, found bool, err error) {
	score, err := a.FindScore(metric)
	if score == nil {
		return 0, false, err
	}
	return score.Value, true, nil
}

// FindScore returns the score on a metric and its source, or nil if there is none. An empty metric is an
// error.
//
// It tries each dot of the metric from the left: the text before it is the name of an eval, and the text
// after it a key of the row that Eval returns. If no dot leads to a score, the whole text is a key of the
// eval metrics, or else of the training metrics.
func (a *ArmResult) FindScore(metric string) (*Score, error) {
	if metric == "" {
		return nil, invalidMetric()
	}
	for dot := range len(metric) {
		if metric[dot] != '.' {
			continue
		}
		if score := a.rowScore(metric[:dot], metric[dot+1:]); score != nil {
			return score, nil
		}
	}
	return a.bareScore(metric), nil
}

// Primary returns the primary eval: the first post-training row tagged test, or else the first
// post-training row, or else the first row. It returns nil if there is none. A row of another model is
// never primary.
func (a *ArmResult) Primary() *podiumv1.EvalResult {
	var best *podiumv1.EvalResult
	bestClass := neverPrimary
	for _, row := range a.distinctRows() {
		if class := primaryClass(row); class < bestClass {
			best, bestClass = row, class
		}
	}
	return best
}

// GetEvalMetrics returns the given eval metrics, or else those of the primary eval.
func (a *ArmResult) GetEvalMetrics() map[string]float64 {
	if given := a.ArmResult.GetEvalMetrics(); len(given) > 0 {
		return given
	}
	return a.Primary().GetMetrics()
}

// GetEvalBreakdowns returns the given breakdowns, or else those of the primary eval.
func (a *ArmResult) GetEvalBreakdowns() map[string]*podiumv1.Value {
	if given := a.ArmResult.GetEvalBreakdowns(); len(given) > 0 {
		return given
	}
	return a.Primary().GetBreakdowns()
}

// GetEvalSeconds returns the given duration of evaluation in seconds, or that of the primary eval.
// It returns 0 if neither was recorded; HasEvalSeconds tells the two apart.
func (a *ArmResult) GetEvalSeconds() float64 {
	if a.ArmResult != nil && a.ArmResult.EvalSeconds != nil {
		return *a.ArmResult.EvalSeconds
	}
	return a.Primary().GetEvalSeconds()
}

// HasEvalSeconds returns whether the duration of evaluation was recorded, for the arm or for its
// primary eval.
func (a *ArmResult) HasEvalSeconds() bool {
	if a.ArmResult != nil && a.ArmResult.EvalSeconds != nil {
		return true
	}
	primary := a.Primary()
	return primary != nil && primary.EvalSeconds != nil
}

func (a *ArmResult) rowScore(name, key string) *Score {
	// Names and keys are never empty, so a dot at the start or the end is not tried.
	if name == "" || key == "" {
		return nil
	}
	return scoreOfRow(a.Eval(name), key)
}

func (a *ArmResult) bareScore(key string) *Score {
	row := a.Primary()
	given := a.ArmResult.GetEvalMetrics()
	if row != nil && (len(given) == 0 || sameMetrics(given, row.GetMetrics())) {
		if score := scoreOfRow(row, key); score != nil {
			return score
		}
	} else if value, found := given[key]; found {
		return &Score{value, &podiumv1.ScoreSource{
			Origin: podiumv1.ScoreOrigin_SCORE_ORIGIN_GIVEN_EVAL_METRICS, Key: key,
		}}
	}
	if value, found := a.GetMetrics()[key]; found {
		return &Score{value, &podiumv1.ScoreSource{
			Origin: podiumv1.ScoreOrigin_SCORE_ORIGIN_TRAINING_METRICS, Key: key,
		}}
	}
	return nil
}

func scoreOfRow(row *podiumv1.EvalResult, key string) *Score {
	value, found := row.GetMetrics()[key]
	if !found {
		return nil
	}
	origin := podiumv1.ScoreOrigin_SCORE_ORIGIN_IN_LOOP_EVAL
	if row.Step == nil {
		origin = podiumv1.ScoreOrigin_SCORE_ORIGIN_POST_TRAINING_EVAL
	}
	name := row.GetName()
	return &Score{value, &podiumv1.ScoreSource{
		Origin: origin, Key: key, EvalName: &name, Step: row.Step,
	}}
}

const neverPrimary = 3

// primaryClass returns the class of a row. The primary eval is the first row of the lowest class.
func primaryClass(row *podiumv1.EvalResult) int {
	switch {
	case row.ModelRef != nil:
		return neverPrimary
	case row.Step != nil:
		return 2
	case !slices.Contains(row.GetTags(), "test"):
		return 1
	}
	return 0
}

// distinctRows returns the rows without those that repeat the name and step of an earlier one.
func (a *ArmResult) distinctRows() []*podiumv1.EvalResult {
	type identity struct {
		name    string
		hasStep bool
		step    int64
	}
	rows := make([]*podiumv1.EvalResult, 0, len(a.GetEvals()))
	seen := make(map[identity]bool, len(a.GetEvals()))
	for _, row := range a.GetEvals() {
		this := identity{row.GetName(), row.Step != nil, row.GetStep()}
		if !seen[this] {
			seen[this] = true
			rows = append(rows, row)
		}
	}
	return rows
}

// sameMetrics returns whether two sets of metrics are equal. NaN equals NaN.
func sameMetrics(left, right map[string]float64) bool {
	if len(left) != len(right) {
		return false
	}
	for key, value := range left {
		other, found := right[key]
		if !found || (value != other && !(math.IsNaN(value) && math.IsNaN(other))) {
			return false
		}
	}
	return true
}

// quoted returns a name for an error text.
func quoted(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "'") + "`"
}
