package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

type readCase struct {
	Name    string                     `json:"name"`
	Arm     json.RawMessage            `json:"arm"`
	Refused string                     `json:"refused"`
	Reads   map[string]json.RawMessage `json:"reads"`
	Evals   []struct {
		Name string `json:"name"`
		Step *int64 `json:"step,string"`
		Row  *int   `json:"row"`
	} `json:"evals"`
	Scores []struct {
		Metric string          `json:"metric"`
		Answer json.RawMessage `json:"answer"`
		Error  string          `json:"error"`
	} `json:"scores"`
}

// asked is one way of asking an arm.
type asked interface {
	eval(name string, step *int64) (*podiumv1.EvalResult, error)
	score(metric string) (*podium.Score, error)
	arm() (*podium.ArmResult, error)
}

func goThroughReads(client *podium.Client, file string) error {
	var vectors struct{ Cases []readCase }
	if err := readJSON(file, &vectors); err != nil {
		return err
	}
	for _, one := range vectors.Cases {
		tell(file, "pure", one.Name, readLocally(one))
		tell(file, "wire", one.Name, readServed(client, one))
	}
	return nil
}

func readLocally(one readCase) error {
	given, err := armOf(one.Arm)
	if err != nil {
		return err
	}
	return check(one, given, local{podium.NewArmResult(given)})
}

func readServed(client *podium.Client, one readCase) error {
	given, err := armOf(one.Arm)
	if err != nil {
		return err
	}
	experiment, _ := newExperiment(client)
	if err := declareAndRecord(experiment, given); one.Refused != "" {
		return expectReason(err, one.Refused)
	} else if err != nil {
		return err
	}
	way := served{experiment.Arm(given.GetName())}
	if err := check(one, given, way); err != nil {
		return err
	}
	return checkRows(given, way)
}

func declareAndRecord(experiment *podium.Experiment, arm *podiumv1.ArmResult) error {
	declared := podium.ExperimentDeclared(&podiumv1.ExperimentDeclared{})
	if _, err := experiment.Record(background, declared); err != nil {
		return err
	}
	_, err := experiment.Record(background, podium.ArmRecorded(podium.NewArmResult(arm)))
	return err
}

func check(one readCase, given *podiumv1.ArmResult, way asked) error {
	if err := checkEvals(one, given, way); err != nil {
		return err
	}
	if err := checkScores(one, way); err != nil {
		return err
	}
	arm, err := way.arm()
	if err != nil {
		return err
	}
	return checkReads(one, arm)
}

func checkEvals(one readCase, given *podiumv1.ArmResult, way asked) error {
	for _, question := range one.Evals {
		found, err := way.eval(question.Name, question.Step)
		if err != nil {
			return err
		}
		var wanted *podiumv1.EvalResult
		if question.Row != nil {
			wanted = given.GetEvals()[*question.Row]
		}
		what := fmt.Sprintf("eval(%q, %v)", question.Name, plainStep(question.Step))
		if (found == nil) != (wanted == nil) {
			return fmt.Errorf("%s: %v instead of %v", what, found, wanted)
		}
		if found == nil {
			continue
		}
		if err := equal(what, bareRow(found), bareRow(wanted)); err != nil {
			return err
		}
	}
	return nil
}

func checkScores(one readCase, way asked) error {
	for _, question := range one.Scores {
		what := fmt.Sprintf("score(%q)", question.Metric)
		score, err := way.score(question.Metric)
		if question.Error != "" {
			if err := expectCode(err, question.Error); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			continue
		}
		if err != nil {
			return err
		}
		wanted := &podiumv1.ScoreResponse{}
		if err := protojson.Unmarshal(question.Answer, wanted); err != nil {
			return err
		}
		if err := equal(what, scoreResponse(score), wanted); err != nil {
			return err
		}
	}
	return nil
}

func scoreResponse(score *podium.Score) *podiumv1.ScoreResponse {
	if score == nil {
		return &podiumv1.ScoreResponse{}
	}
	return &podiumv1.ScoreResponse{Value: &score.Value, Source: score.Source}
}

// checkReads holds the fields that a case names against those of the arm as they read.
func checkReads(one readCase, arm *podium.ArmResult) error {
	seconds := arm.GetEvalSeconds()
	found := (&podiumv1.ArmResult{
		EvalMetrics: arm.GetEvalMetrics(), EvalBreakdowns: arm.GetEvalBreakdowns(),
		EvalSeconds: &seconds,
	}).ProtoReflect()
	for name, value := range one.Reads {
		wanted := (&podiumv1.ArmResult{}).ProtoReflect()
		text := fmt.Sprintf("{%q: %s}", name, value)
		if err := protojson.Unmarshal([]byte(text), wanted.Interface()); err != nil {
			return err
		}
		field := wanted.Descriptor().Fields().ByJSONName(name)
		if err := equalField(field, found, wanted); err != nil {
			return err
		}
	}
	return nil
}

func equalField(field protoreflect.FieldDescriptor, found, wanted protoreflect.Message) error {
	return equalPlain(field.JSONName(),
		plainField(field, found.Get(field)), plainField(field, wanted.Get(field)))
}

// checkRows holds the rows of the arm that the server has against those that were given, without
// those that repeat an earlier one's name and step.
func checkRows(given *podiumv1.ArmResult, way asked) error {
	arm, err := way.arm()
	if err != nil {
		return err
	}
	found, wanted := &podiumv1.ArmResult{}, &podiumv1.ArmResult{}
	seen := map[string]bool{}
	for _, row := range given.GetEvals() {
		identity := fmt.Sprint(row.GetName(), "\x00", plainStep(row.Step))
		if !seen[identity] {
			seen[identity] = true
			wanted.Evals = append(wanted.Evals, row)
		}
	}
	found.Evals = arm.GetEvals()
	return equal("rows", bareArm(found), bareArm(wanted))
}

func armOf(text json.RawMessage) (*podiumv1.ArmResult, error) {
	arm := &podiumv1.ArmResult{}
	return arm, protojson.Unmarshal(text, arm)
}

func plainStep(step *int64) any {
	if step == nil {
		return nil
	}
	return *step
}

func expectReason(err error, reason string) error {
	var failed *podium.Error
	if !errors.As(err, &failed) || failed.Reason != reason {
		return fmt.Errorf("%v instead of a refusal with %s", err, reason)
	}
	return nil
}

func expectCode(err error, name string) error {
	var failed *podium.Error
	if !errors.As(err, &failed) || code.Code_name[int32(failed.Code)] != name {
		return fmt.Errorf("%v instead of an error with %s", err, name)
	}
	return nil
}

// exchange writes an arm, or gets it and compares it with the one given.
func exchange(client *podium.Client, entry entry) error {
	given, err := armOf(entry.Arm)
	if err != nil {
		return err
	}
	experiment := client.Experiment(entry.Experiment)
	if entry.Exchange == "write" {
		err = declareAndRecord(experiment, given)
	} else {
		var found *podium.ArmResult
		if found, err = experiment.Arm(given.GetName()).Get(background); err == nil {
			err = equal("arm", bareArm(found.ArmResult), bareArm(given))
		}
	}
	tell("exchange", entry.Exchange, entry.Experiment+"/"+given.GetName(), err)
	return nil
}

// local asks the arm itself.
type local struct{ given *podium.ArmResult }

func (l local) eval(name string, step *int64) (*podiumv1.EvalResult, error) {
	if step == nil {
		return l.given.Eval(name), nil
	}
	return l.given.EvalAt(name, *step), nil
}

func (l local) score(metric string) (*podium.Score, error) { return l.given.FindScore(metric) }

func (l local) arm() (*podium.ArmResult, error) { return l.given, nil }

// served asks the server.
type served struct{ handle *podium.Arm }

func (s served) eval(name string, step *int64) (*podiumv1.EvalResult, error) {
	if step == nil {
		return s.handle.Eval(background, name)
	}
	return s.handle.EvalAt(background, name, *step)
}

func (s served) score(metric string) (*podium.Score, error) {
	return s.handle.FindScore(background, metric)
}

func (s served) arm() (*podium.ArmResult, error) { return s.handle.Get(background) }
