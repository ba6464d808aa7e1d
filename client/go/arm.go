package podium

import (
	"context"
	"fmt"
	"iter"

	"podium.example/podium/podiumv1"
)

// Arm is a handle of an arm. Making one makes no call. Any number of goroutines may share it.
type Arm struct {
	client           *Client
	experiment, name string
}

// Arm returns a handle of an arm of an experiment.
func (c *Client) Arm(experiment, name string) *Arm {
	return &Arm{c, experiment, name}
}

// Eval returns the post-training row of that name, or else the in-loop row with the greatest step. It
// returns nil if there is neither. An arm that does not exist is an error.
func (a *Arm) Eval(ctx context.Context, name string) (*podiumv1.EvalResult, error) {
	return a.eval(ctx, name, nil)
}

// EvalAt returns the in-loop row of that name at exactly that step, or nil. A step can be 0 or negative.
func (a *Arm) EvalAt(ctx context.Context, name string, step int64) (*podiumv1.EvalResult, error) {
	return a.eval(ctx, name, &step)
}

func (a *Arm) eval(ctx context.Context, name string, step *int64) (*podiumv1.EvalResult, error) {
	response, err := a.client.Results.Eval(ctx, &podiumv1.EvalRequest{
		Experiment: a.experiment, Arm: a.name, Name: name, Step: step,
	})
	return response.GetEvalResult(), err
}

// Score returns the score on a metric, and whether there is one. NaN is a score.
func (a *Arm) Score(ctx context.Context, metric string) (value float64, found bool, err error) {
	score, err := a.FindScore(ctx, metric)
	if score == nil {
		return 0, false, err
	}
	return score.Value, true, nil
}

// FindScore returns the score on a metric and its source, or nil if there is none.
func (a *Arm) FindScore(ctx context.Context, metric string) (*Score, error) {
	response, err := a.client.Results.Score(ctx, &podiumv1.ScoreRequest{
		Experiment: a.experiment, Arm: a.name, Metric: metric,
	})
	if err != nil || response.Value == nil {
		return nil, err
	}
	return &Score{response.GetValue(), response.GetSource()}, nil
}

// Get returns the whole arm as of one revision. If the arm changed each time while it was read, the
// error has codes.Aborted.
func (a *Arm) Get(ctx context.Context) (*ArmResult, error) {
	what := fmt.Sprintf("arm %s of %s", quoted(a.name), quoted(a.experiment))
	return inOneState(what, func() (*ArmResult, error) { return a.getInOneState(ctx) })
}

// getInOneState returns the arm, or nil if it changed while its rows were read.
func (a *Arm) getInOneState(ctx context.Context) (*ArmResult, error) {
	response, err := a.client.Results.GetArm(ctx, &podiumv1.GetArmRequest{
		Experiment: a.experiment, Arm: a.name,
	})
	if err != nil {
		return nil, err
	}
	found := response.GetArmResult()
	for token := response.GetNextEvalsPageToken(); token != ""; {
		page, err := a.client.Results.ListEvals(ctx, &podiumv1.ListEvalsRequest{
			Experiment: a.experiment, Arm: a.name, PageSize: largestPage, PageToken: token,
		})
		if err != nil || page.GetRevision() != found.GetRevision() {
			return nil, err
		}
		found.Evals = append(found.Evals, page.GetEvals()...)
		token = page.GetNextPageToken()
	}
	return NewArmResult(found), nil
}

// EvalFilter has the filters of a list of rows. The zero value means all rows.
type EvalFilter struct {
	// Name keeps only rows with this eval name.
	Name *string
	// MinStep and MaxStep keep only in-loop rows at these steps or between them.
	MinStep, MaxStep *int64
}

// Evals lists the rows in the order in which they were first accepted. It fetches page by page.
// Iteration ends after an error.
func (a *Arm) Evals(
	ctx context.Context, filter EvalFilter,
) iter.Seq2[*podiumv1.EvalResult, error] {
	return pages(func(token string) ([]*podiumv1.EvalResult, string, error) {
		page, err := a.client.Results.ListEvals(ctx, &podiumv1.ListEvalsRequest{
			Experiment: a.experiment, Arm: a.name, PageToken: token,
			Name: filter.Name, MinStep: filter.MinStep, MaxStep: filter.MaxStep,
		})
		return page.GetEvals(), page.GetNextPageToken(), err
	})
}

// Delete deletes the arm with its rows, and returns the revision of the experiment after that.
func (a *Arm) Delete(ctx context.Context) (revision int64, err error) {
	return a.delete(ctx, false)
}

// DeleteIfPresent is Delete without an error if the experiment or the arm does not exist.
func (a *Arm) DeleteIfPresent(ctx context.Context) (revision int64, err error) {
	return a.delete(ctx, true)
}

func (a *Arm) delete(ctx context.Context, allowMissing bool) (int64, error) {
	response, err := a.client.Recording.DeleteArm(ctx, &podiumv1.DeleteArmRequest{
		Experiment: a.experiment, Arm: a.name, AllowMissing: allowMissing,
	})
	return response.GetRevision(), err
}
