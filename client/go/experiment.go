package podium

import (
	"context"
	"iter"

	"podium.example/podium/podiumv1"
)

// Experiment is a handle of an experiment: to make one calls nobody. Any number of goroutines may
// share it.
type Experiment struct {
	client *Client
	name   string
}

// Experiment is a handle of an experiment.
func (c *Client) Experiment(name string) *Experiment {
	return &Experiment{c, name}
}

// ExperimentFilter has the filters of a list of experiments. The zero value means all experiments.
type ExperimentFilter struct {
	// NamePrefix keeps only experiments whose name begins with this text.
	NamePrefix *string
	// Statuses keeps only experiments with one of these; none means any.
	Statuses []podiumv1.ExperimentStatus
	// Tags keeps only experiments that have all of these.
	Tags []string
}

// Server returns the version and the limits of the server, and the id of its store.
func (c *Client) Server(ctx context.Context) (*podiumv1.Server, error) {
	response, err := c.Results.GetServer(ctx, &podiumv1.GetServerRequest{})
	return response.GetServer(), err
}

// Whoami returns the token of this client, or nil if the server requires no tokens.
func (c *Client) Whoami(ctx context.Context) (*podiumv1.Token, error) {
	response, err := c.Access.WhoAmI(ctx, &podiumv1.WhoAmIRequest{})
	return response.GetToken(), err
}

// Experiments lists the experiments, sorted by the bytes of their names. It fetches page by page.
// Iteration ends after an error.
func (c *Client) Experiments(
	ctx context.Context, filter ExperimentFilter,
) iter.Seq2[*podiumv1.Experiment, error] {
	return pages(func(token string) ([]*podiumv1.Experiment, string, error) {
		page, err := c.Results.ListExperiments(ctx, &podiumv1.ListExperimentsRequest{
			NamePrefix: filter.NamePrefix, Statuses: filter.Statuses, Tags: filter.Tags,
			PageToken: token,
		})
		return page.GetExperiments(), page.GetNextPageToken(), err
	})
}

// Arm returns a handle of one of its arms.
func (e *Experiment) Arm(name string) *Arm {
	return e.client.Arm(e.name, name)
}

// Get returns the experiment, with the number of its arms by status.
func (e *Experiment) Get(ctx context.Context) (*podiumv1.Experiment, error) {
	response, err := e.client.Results.GetExperiment(ctx, &podiumv1.GetExperimentRequest{
		Experiment: e.name,
	})
	return response.GetExperiment(), err
}

// ArmFilter has the filters of a list of arms. The zero value means all arms.
type ArmFilter struct {
	// Statuses keeps only arms with one of these; none means any.
	Statuses []podiumv1.ArmStatus
	// GroupName keeps only arms of the group with this name.
	GroupName *string
	// NamePrefix keeps only arms whose name begins with this text.
	NamePrefix *string
	// Tags keeps only arms that have all of these.
	Tags []string
	// Config keeps only arms whose run_config satisfies all of these.
	Config []*podiumv1.ConfigFilter
}

// Arms lists the arms without their rows, in the order in which they were created. It fetches page by
// page. Iteration ends after an error.
func (e *Experiment) Arms(
	ctx context.Context, filter ArmFilter,
) iter.Seq2[*podiumv1.ArmSummary, error] {
	return pages(func(token string) ([]*podiumv1.ArmSummary, string, error) {
		page, err := e.client.Results.ListArms(ctx, &podiumv1.ListArmsRequest{
			Experiment: e.name, Statuses: filter.Statuses, GroupName: filter.GroupName,
			NamePrefix: filter.NamePrefix, Tags: filter.Tags, Config: filter.Config, PageToken: token,
		})
		return page.GetArms(), page.GetNextPageToken(), err
	})
}

// Metrics lists the metrics on which arms have scores, with the number of arms of each, fetched page
// by page. Iteration ends after an error.
func (e *Experiment) Metrics(ctx context.Context) iter.Seq2[*podiumv1.Metric, error] {
	return pages(func(token string) ([]*podiumv1.Metric, string, error) {
		page, err := e.client.Results.ListMetrics(ctx, &podiumv1.ListMetricsRequest{
			Experiment: e.name, PageSize: largestPage, PageToken: token,
		})
		return page.GetMetrics(), page.GetNextPageToken(), err
	})
}

// RankOptions are the optional arguments of Rank. The defaults are those of the experiment.
type RankOptions struct {
	// Metric is the metric to rank by. Nil means the experiment's success_metric.
	Metric *string
	// Direction is the order of scores. Unspecified means the experiment's direction.
	Direction podiumv1.Direction
	// Statuses are the statuses of the ranked arms. None means completed arms only.
	Statuses []podiumv1.ArmStatus
	// Top is the number of places to return. 0 means all.
	Top int
	// ByGroup ranks groups of arms by the means of their members.
	ByGroup bool
	// MinMembers keeps only groups with at least this number of scores that are not NaN.
	MinMembers int32
	// GroupName ranks only arms of the group with this name.
	GroupName *string
	// NamePrefix ranks only arms whose name begins with this text.
	NamePrefix *string
	// Tags ranks only arms that have all of these.
	Tags []string
	// Config ranks only arms whose run_config satisfies all of these.
	Config []*podiumv1.ConfigFilter
}

// Rank ranks the arms by their scores, or the groups by their means, the best first, as of one revision.
// Arms without a score come last. If the ranking changed each time while it was read, the error has
// codes.Aborted.
func (e *Experiment) Rank(
	ctx context.Context, options RankOptions,
) (*podiumv1.RankResponse, error) {
	what := "the ranking of experiment " + quoted(e.name)
	return inOneState(what, func() (*podiumv1.RankResponse, error) {
		return e.rankInOneState(ctx, options)
	})
}

// rankInOneState returns the ranking, or nil if it changed between the pages. Events of arms that are not
// in the ranking change only the revision of the experiment, not that of the ranking.
func (e *Experiment) rankInOneState(
	ctx context.Context, options RankOptions,
) (*podiumv1.RankResponse, error) {
	top := options.Top
	request := &podiumv1.RankRequest{
		Experiment: e.name, Metric: options.Metric, Direction: options.Direction,
		Statuses: options.Statuses, PageSize: largestPage,
		ByGroup: options.ByGroup, MinMembers: options.MinMembers, GroupName: options.GroupName,
		NamePrefix: options.NamePrefix, Tags: options.Tags, Config: options.Config,
	}
	if 0 < top && top < largestPage {
		request.PageSize = int32(top)
	}
	found, err := e.client.Results.Rank(ctx, request)
	if err != nil {
		return nil, err
	}
	for found.NextPageToken != "" && (top <= 0 || len(found.Arms)+len(found.Groups) < top) {
		request.PageToken = found.NextPageToken
		page, err := e.client.Results.Rank(ctx, request)
		if err != nil || page.GetRankingRevision() != found.GetRankingRevision() {
			return nil, err
		}
		found.Arms = append(found.Arms, page.GetArms()...)
		found.Groups = append(found.Groups, page.GetGroups()...)
		found.NextPageToken = page.GetNextPageToken()
	}
	if top > 0 {
		found.Arms = found.Arms[:min(top, len(found.Arms))]
		found.Groups = found.Groups[:min(top, len(found.Groups))]
	}
	return found, nil
}

// Scores returns the scores of the arms that match a filter: a column for each metric, with the arms in
// the order of their creation. It joins all pages into one response. The revision of the response is 0
// if the experiment changed between the pages.
func (e *Experiment) Scores(
	ctx context.Context, metrics []string, filter ArmFilter,
) (*podiumv1.ScoresResponse, error) {
	request := &podiumv1.ScoresRequest{
		Experiment: e.name, Metrics: metrics, Statuses: filter.Statuses, GroupName: filter.GroupName,
		NamePrefix: filter.NamePrefix, Tags: filter.Tags, Config: filter.Config, PageSize: largestPage,
	}
	found, err := e.client.Results.Scores(ctx, request)
	if err != nil {
		return nil, err
	}
	for found.NextPageToken != "" {
		request.PageToken = found.NextPageToken
		page, err := e.client.Results.Scores(ctx, request)
		if err != nil {
			return nil, err
		}
		addScores(found, page)
	}
	return found, nil
}

// addScores appends the arms of a page and their scores.
func addScores(found, page *podiumv1.ScoresResponse) {
	found.Arms = append(found.Arms, page.GetArms()...)
	for i, column := range page.GetColumns() {
		found.Columns[i].Values = append(found.Columns[i].Values, column.GetValues()...)
		found.Columns[i].Present = append(found.Columns[i].Present, column.GetPresent()...)
	}
	if page.GetRevision() != found.GetRevision() {
		found.Revision = 0
	}
	found.NextPageToken = page.GetNextPageToken()
}

// Record records events in order, all of them or none. Sending them again is safe.
func (e *Experiment) Record(
	ctx context.Context, events ...*podiumv1.Event,
) (*podiumv1.RecordResponse, error) {
	return e.RecordAt(ctx, nil, events...)
}

// RecordAt is Record for events of a stream, each of which is applied exactly once, no matter when the
// call is repeated. The position is that of the first event.
func (e *Experiment) RecordAt(
	ctx context.Context, position *podiumv1.StreamPosition, events ...*podiumv1.Event,
) (*podiumv1.RecordResponse, error) {
	return e.client.Recording.Record(ctx, &podiumv1.RecordRequest{
		Experiment: e.name, Events: events, Position: position,
	})
}

// Delete deletes the experiment with its arms, and returns its last revision.
func (e *Experiment) Delete(ctx context.Context) (revision int64, err error) {
	return e.delete(ctx, false)
}

// DeleteIfPresent is Delete without an error if the experiment does not exist.
func (e *Experiment) DeleteIfPresent(ctx context.Context) (revision int64, err error) {
	return e.delete(ctx, true)
}

func (e *Experiment) delete(ctx context.Context, allowMissing bool) (int64, error) {
	response, err := e.client.Recording.DeleteExperiment(ctx, &podiumv1.DeleteExperimentRequest{
		Experiment: e.name, AllowMissing: allowMissing,
	})
	return response.GetRevision(), err
}
