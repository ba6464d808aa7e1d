package main

import (
	"context"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// watched answers with the updates of a watch, and with the error that ends it.
func watched(asked request) answer {
	found := answer{Responses: [][]byte{}}
	message, err := messageOf(asked)
	if err != nil {
		return answer{Error: failureOf(err)}
	}
	client, err := clientOf(asked.Address)
	if err != nil {
		return answer{Error: failureOf(err)}
	}
	given := message.(*podiumv1.WatchRequest)
	updates := client.Experiment(given.Experiment).Watch(context.Background(), watchOptions(given))
	for update, err := range updates {
		if err != nil {
			found.Error = failureOf(err)
			return found
		}
		if found.Responses = append(found.Responses, marshalled(update)); len(found.Responses) == asked.Take {
			break
		}
	}
	return found
}

func watchOptions(given *podiumv1.WatchRequest) podium.WatchOptions {
	options := podium.WatchOptions{
		Statuses: given.Statuses, GroupName: given.GroupName, NamePrefix: given.NamePrefix,
		WithoutEvals: given.WithoutEvals, WithoutBreakdowns: given.WithoutBreakdowns,
		WithSeries: given.WithSeries, SeriesKeys: given.SeriesKeys,
	}
	if given.AfterRevision != nil {
		options.After = &podiumv1.WatchMarker{Revision: *given.AfterRevision, Epoch: given.GetEpoch()}
	}
	return options
}
