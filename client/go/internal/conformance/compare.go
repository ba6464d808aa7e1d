package main

import (
	"fmt"
	"math"
	"reflect"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"podium.example/podium/podiumv1"
)

// plain is everything that a message says, in a form in which doubles compare by their bits and
// every NaN is NaN.
func plain(message protoreflect.Message) map[string]any {
	said := map[string]any{}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		said[field.JSONName()] = plainField(field, value)
		return true
	})
	return said
}

// plainField is the value of a field: a map, a list or a single one.
func plainField(field protoreflect.FieldDescriptor, value protoreflect.Value) any {
	switch {
	case field.IsMap():
		entries := map[string]any{}
		value.Map().Range(func(key protoreflect.MapKey, inner protoreflect.Value) bool {
			entries[key.String()] = plainValue(inner)
			return true
		})
		return entries
	case field.IsList():
		items := []any{}
		for i := range value.List().Len() {
			items = append(items, plainValue(value.List().Get(i)))
		}
		return items
	}
	return plainValue(value)
}

func plainValue(value protoreflect.Value) any {
	switch inner := value.Interface().(type) {
	case protoreflect.Message:
		return plain(inner)
	case float64:
		if math.IsNaN(inner) {
			return "NaN"
		}
		return fmt.Sprintf("%x (%v)", math.Float64bits(inner), inner)
	default:
		return inner
	}
}

// equal says how two messages differ, if they do.
func equal(what string, found, wanted proto.Message) error {
	return equalPlain(what, plain(found.ProtoReflect()), plain(wanted.ProtoReflect()))
}

func equalPlain(what string, found, wanted any) error {
	if reflect.DeepEqual(found, wanted) {
		return nil
	}
	return fmt.Errorf("%s: %v instead of %v", what, found, wanted)
}

// bareArm clears what only the server sets.
func bareArm(arm *podiumv1.ArmResult) *podiumv1.ArmResult {
	bare := proto.CloneOf(arm)
	bare.Experiment, bare.Revision, bare.Attempt = "", 0, nil
	bare.CreateTime, bare.UpdateTime = nil, nil
	for i, row := range bare.Evals {
		bare.Evals[i] = bareRow(row)
	}
	return bare
}

func bareRow(row *podiumv1.EvalResult) *podiumv1.EvalResult {
	bare := proto.CloneOf(row)
	bare.Revision, bare.EventTime, bare.RecordTime = 0, nil, nil
	return bare
}
