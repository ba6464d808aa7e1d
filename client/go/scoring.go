package podium

import (
	"math"
	"slices"
	"strings"

	"podium.example/podium/podiumv1"
)

// ArmResult is an arm in this process: what Arm.Get answers, or one that was built by hand. It
// answers Eval and Score by the rules of the server, and asks no server.
//
// GetEvalMetrics, GetEvalBreakdowns and GetEvalSeconds read as those of the primary eval where the
// fields were left empty; the fields themselves are what was given.
type ArmResult struct {
	*podiumv1.ArmResult
}

// NewArmResult makes the message answer Eval and Score. The message is used, not copied.
func NewArmResult(message *podiumv1.ArmResult) *ArmResult {
	return &ArmResult{message}
}

// Score is a number and where it came from. NaN is a number.
type Score struct {
	Value  float64
	Source *podiumv1.ScoreSource
}

// Eval is the post-training row of that name if there is one, else the in-loop row with the
// greatest step, else nil. Of rows that repeat a name and step, the first one counts.
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

// EvalAt is the in-loop row of that name at exactly that step, else nil: never the post-training
// row, never the nearest one.
func (a *ArmResult) EvalAt(name string, step int64) *podiumv1.EvalResult {
	for _, row := range a.GetEvals() {
		if row.GetName() == name && row.Step != nil && row.GetStep() == step {
			return row
		}
	}
	return nil
}

// Score is the number of a metric, and whether there is one. An empty metric is an error.
func (a *ArmResult) Score(metric string) (value float64, found bool, err error) {
	score, err := a.FindScore(metric)
	if score == nil {
		return 0, false, err
	}
	return score.Value, true, nil
}

// FindScore is the score on a metric and where it came from; nil if there is none. An empty metric
// is an error.
//
// Each dot of the metric is tried from the left: the key behind it, of the row that Eval answers
// for the name before it. Where no split has an entry, the whole text is a key of the eval
// metrics, else of the training metrics.
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

// Primary is the primary eval: the first post-training row tagged test, else the first
// post-training row, else the first row; nil if there is none. A row of another model is never
// primary.
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

// GetEvalMetrics is the eval metrics that were given, else those of the primary eval.
func (a *ArmResult) GetEvalMetrics() map[string]float64 {
	if given := a.ArmResult.GetEvalMetrics(); len(given) > 0 {
		return given
	}
	return a.Primary().GetMetrics()
}

// GetEvalBreakdowns is the breakdowns that were given, else those of the primary eval.
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
	// Names and keys are never empty, so a dot at an end splits nothing.
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

// primaryClass is how a row stands for primary: the lowest class wins, within a class the first.
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

// distinctRows is the rows without those that repeat an earlier one's name and step.
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

// sameMetrics says whether two sets of metrics say the same; NaN is the same as NaN.
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

// quoted is a name in the text of an error.
func quoted(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "'") + "`"
}
