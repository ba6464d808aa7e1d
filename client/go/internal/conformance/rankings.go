package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

type rankCase struct {
	Name       string            `json:"name"`
	Experiment json.RawMessage   `json:"experiment"`
	Arms       []json.RawMessage `json:"arms"`
	Ranks      []ranking         `json:"ranks"`
	Conclusion *struct {
		Status string `json:"status"`
	} `json:"conclusion"`
}

type ranking struct {
	Request  json.RawMessage `json:"request"`
	Response fields          `json:"response"`
	Error    *refusal        `json:"error"`
}

func goThroughRankings(client *podium.Client, file string) error {
	var vectors struct{ Cases []rankCase }
	if err := readJSON(file, &vectors); err != nil {
		return err
	}
	for _, one := range vectors.Cases {
		experiment, _ := newExperiment(client)
		tell(file, "wire", one.Name, rankAll(experiment, one))
	}
	return nil
}

func rankAll(experiment *podium.Experiment, one rankCase) error {
	if err := recordAll(experiment, one); err != nil {
		return err
	}
	for _, question := range one.Ranks {
		if err := rank(experiment, question); err != nil {
			return fmt.Errorf("rank(%s): %w", question.Request, err)
		}
	}
	if one.Conclusion == nil {
		return nil
	}
	found, err := experiment.Get(background)
	if err == nil && found.GetStatus().String() != one.Conclusion.Status {
		err = fmt.Errorf("the experiment is %v instead of %s", found.GetStatus(), one.Conclusion.Status)
	}
	return err
}

func recordAll(experiment *podium.Experiment, one rankCase) error {
	declared := &podiumv1.ExperimentDeclared{}
	if err := protojson.Unmarshal(one.Experiment, declared); err != nil {
		return err
	}
	events := []*podiumv1.Event{podium.ExperimentDeclared(declared)}
	for _, text := range one.Arms {
		arm, err := armOf(text)
		if err != nil {
			return err
		}
		events = append(events, podium.ArmRecorded(podium.NewArmResult(arm)))
	}
	_, err := experiment.Record(background, events...)
	return err
}

func rank(experiment *podium.Experiment, question ranking) error {
	request := &podiumv1.RankRequest{}
	if err := protojson.Unmarshal(question.Request, request); err != nil {
		return err
	}
	found, err := experiment.Rank(background, podium.RankOptions{
		Metric: request.Metric, Direction: request.GetDirection(), Statuses: request.GetStatuses(),
		ByGroup: request.GetByGroup(), MinMembers: request.GetMinMembers(),
	})
	if question.Error != nil {
		return checkError(*question.Error, err)
	}
	if err != nil {
		return err
	}
	return checkNamed(question.Response, found.ProtoReflect(), "")
}

func checkError(wanted refusal, err error) error {
	var failed *podium.Error
	if !errors.As(err, &failed) || failed.Reason != wanted.Reason ||
		code.Code_name[int32(failed.Code)] != wanted.Code {
		return fmt.Errorf("%v instead of %s, %s", err, wanted.Code, wanted.Reason)
	}
	return nil
}
