package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

type fields = map[string]json.RawMessage

type writeCase struct {
	Name  string `json:"name"`
	Steps []step `json:"steps"`
}

type step struct {
	Call     string   `json:"call"`
	Request  fields   `json:"request"`
	Response fields   `json:"response"`
	Refused  *refusal `json:"refused"`
}

type refusal struct {
	Code      string            `json:"code"`
	Reason    string            `json:"reason"`
	Metadata  map[string]string `json:"metadata"`
	Text      []string          `json:"text"`
	Permanent map[string]string `json:"permanent"`
	Wait      map[string]string `json:"wait"`
}

func goThroughWrites(client *podium.Client, file string) error {
	var vectors struct{ Cases []writeCase }
	if err := readJSON(file, &vectors); err != nil {
		return err
	}
	for _, one := range vectors.Cases {
		tell(file, "wire", one.Name, write(client, one))
	}
	return nil
}

func write(client *podium.Client, one writeCase) error {
	_, experiment := newExperiment(client)
	for index, step := range one.Steps {
		if err := makeCall(client, experiment, step); err != nil {
			return fmt.Errorf("step %d, %s: %w", index, step.Call, err)
		}
	}
	return nil
}

func makeCall(client *podium.Client, experiment string, step step) error {
	method, err := methodOf(client, step.Call)
	if err != nil {
		return err
	}
	request := reflect.New(method.Type().In(1).Elem()).Interface().(proto.Message)
	if err := fill(request, step.Request, experiment); err != nil {
		return err
	}
	answers := method.Call([]reflect.Value{reflect.ValueOf(background), reflect.ValueOf(request)})
	failed, _ := answers[1].Interface().(error)
	switch {
	case step.Refused != nil:
		return checkRefusal(*step.Refused, failed)
	case failed != nil:
		return failed
	}
	return checkNamed(step.Response, answers[0].Interface().(proto.Message).ProtoReflect(), "")
}

// methodOf is the client's stub of an rpc.
func methodOf(client *podium.Client, call string) (reflect.Value, error) {
	for _, service := range []any{client.Recording, client.Results} {
		if method := reflect.ValueOf(service).MethodByName(call); method.IsValid() {
			return method, nil
		}
	}
	return reflect.Value{}, fmt.Errorf("there is no rpc %s", call)
}

func fill(request proto.Message, given fields, experiment string) error {
	named := fields{}
	for name, value := range given {
		named[name] = value
	}
	if _, has := named["experiment"]; !has {
		named["experiment"] = json.RawMessage(strconv.Quote(experiment))
	}
	text, err := json.Marshal(named)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, request)
}

func checkRefusal(wanted refusal, err error) error {
	var failed *podium.Error
	if !errors.As(err, &failed) {
		return fmt.Errorf("%v instead of a refusal with %s", err, wanted.Reason)
	}
	if err := checkError(wanted, err); err != nil {
		return err
	}
	for key, value := range wanted.Metadata {
		if found, has := failed.Metadata[key]; !has || found != value {
			return fmt.Errorf("metadata %v instead of %v", failed.Metadata, wanted.Metadata)
		}
	}
	for _, part := range wanted.Text {
		if !strings.Contains(failed.Message, part) {
			return fmt.Errorf("%q does not say %q", failed.Message, part)
		}
	}
	return checkRefused(wanted, failed.Refusals)
}

func checkRefused(wanted refusal, events []podium.RefusedEvent) error {
	permanent, wait := map[string]string{}, map[string]string{}
	for _, event := range events {
		if event.Permanent {
			permanent[strconv.Itoa(event.Index)] = event.Reason
		} else {
			wait[strconv.Itoa(event.Index)] = event.Reason
		}
	}
	// Texts of maps are in the order of their keys, and those of nil and empty ones the same.
	found := fmt.Sprint("permanent ", permanent, ", wait ", wait)
	expected := fmt.Sprint("permanent ", wanted.Permanent, ", wait ", wanted.Wait)
	if found != expected {
		return fmt.Errorf("%s instead of %s", found, expected)
	}
	return nil
}

// checkNamed holds the fields that are named against an answer; null stands for unset.
func checkNamed(wanted fields, answer protoreflect.Message, where string) error {
	for name, value := range wanted {
		field := answer.Descriptor().Fields().ByJSONName(name)
		if field == nil {
			return fmt.Errorf("%s has no field %s", answer.Descriptor().FullName(), name)
		}
		if err := checkField(field, name, value, answer, where+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func checkField(
	field protoreflect.FieldDescriptor, name string, value json.RawMessage,
	answer protoreflect.Message, where string,
) error {
	switch {
	case string(value) == "null":
		if answer.Has(field) {
			return fmt.Errorf("%s is %v", where, plainField(field, answer.Get(field)))
		}
		return nil
	case isStatistic(field):
		return checkStatistic(value, answer.Get(field).Float(), where)
	case field.IsMap() || field.Message() == nil || isWhole(field.Message()):
		return checkWhole(field, name, value, answer, where)
	case field.IsList():
		return checkList(value, answer.Get(field).List(), where)
	}
	var inner fields
	if err := json.Unmarshal(value, &inner); err != nil {
		return err
	}
	return checkNamed(inner, answer.Get(field).Message(), where)
}

// isWhole says whether messages of a type are compared as a whole.
func isWhole(message protoreflect.MessageDescriptor) bool {
	name := message.FullName()
	return name == (&podiumv1.Value{}).ProtoReflect().Descriptor().FullName() ||
		name == "google.protobuf.Timestamp"
}

// isStatistic says whether a number is computed from several: it may differ by rounding.
func isStatistic(field protoreflect.FieldDescriptor) bool {
	message := (&podiumv1.ScoreStatistics{}).ProtoReflect().Descriptor()
	return field.Kind() == protoreflect.DoubleKind && field.Parent().FullName() == message.FullName()
}

func checkStatistic(value json.RawMessage, found float64, where string) error {
	wanted, err := strconv.ParseFloat(strings.Trim(string(value), `"`), 64)
	if err != nil {
		return err
	}
	if found != wanted && !(math.Abs(found-wanted) <= 1e-9*math.Abs(wanted)) {
		return fmt.Errorf("%s: %v instead of %v", where, found, wanted)
	}
	return nil
}

func checkWhole(
	field protoreflect.FieldDescriptor, name string, value json.RawMessage,
	answer protoreflect.Message, where string,
) error {
	wanted := answer.New()
	text := fmt.Sprintf("{%q: %s}", name, value)
	if err := protojson.Unmarshal([]byte(text), wanted.Interface()); err != nil {
		return err
	}
	return equalPlain(where, plainField(field, answer.Get(field)), plainField(field, wanted.Get(field)))
}

func checkList(value json.RawMessage, found protoreflect.List, where string) error {
	var wanted []fields
	if err := json.Unmarshal(value, &wanted); err != nil {
		return err
	}
	if found.Len() != len(wanted) {
		return fmt.Errorf("%s has %d items instead of %d", where, found.Len(), len(wanted))
	}
	for i, inner := range wanted {
		here := fmt.Sprintf("%s[%d]", where, i)
		if err := checkNamed(inner, found.Get(i).Message(), here); err != nil {
			return err
		}
	}
	return nil
}
