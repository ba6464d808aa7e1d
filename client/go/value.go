package podium

import (
	"fmt"
	"math"
	"reflect"

	"google.golang.org/protobuf/types/known/structpb"

	"podium.example/podium/podiumv1"
)

// NewValue returns the value of nil, a bool, a number, a string, or a slice or map of these, for
// configurations and breakdowns. Integers stay integers, and pointers are followed. It returns an error
// for anything else, such as a map whose keys are not strings, or an integer over 64 bits.
func NewValue(plain any) (*podiumv1.Value, error) {
	if value, ok := plain.(*podiumv1.Value); ok && value != nil {
		return value, nil
	}
	return valueOf(reflect.ValueOf(plain))
}

// Plain returns the content of a value: nil, a bool, an int64, a float64, a string, an []any or a
// map[string]any.
func Plain(value *podiumv1.Value) any {
	switch kind := value.GetKind().(type) {
	case *podiumv1.Value_BoolValue:
		return kind.BoolValue
	case *podiumv1.Value_IntValue:
		return kind.IntValue
	case *podiumv1.Value_DoubleValue:
		return kind.DoubleValue
	case *podiumv1.Value_StringValue:
		return kind.StringValue
	case *podiumv1.Value_ListValue:
		items := []any{}
		for _, item := range kind.ListValue.GetValues() {
			items = append(items, Plain(item))
		}
		return items
	case *podiumv1.Value_MapValue:
		entries := map[string]any{}
		for key, item := range kind.MapValue.GetEntries() {
			entries[key] = Plain(item)
		}
		return entries
	}
	return nil
}

func valueOf(plain reflect.Value) (*podiumv1.Value, error) {
	switch plain.Kind() {
	case reflect.Invalid:
		null := &podiumv1.Value_NullValue{NullValue: structpb.NullValue_NULL_VALUE}
		return &podiumv1.Value{Kind: null}, nil
	case reflect.Pointer, reflect.Interface:
		return NewValue(pointedAt(plain))
	case reflect.Bool:
		return &podiumv1.Value{Kind: &podiumv1.Value_BoolValue{BoolValue: plain.Bool()}}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &podiumv1.Value{Kind: &podiumv1.Value_IntValue{IntValue: plain.Int()}}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if plain.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("podium: a value holds integers of 64 bits, not %d", plain.Uint())
		}
		return &podiumv1.Value{Kind: &podiumv1.Value_IntValue{IntValue: int64(plain.Uint())}}, nil
	case reflect.Float32, reflect.Float64:
		return &podiumv1.Value{Kind: &podiumv1.Value_DoubleValue{DoubleValue: plain.Float()}}, nil
	case reflect.String:
		return &podiumv1.Value{Kind: &podiumv1.Value_StringValue{StringValue: plain.String()}}, nil
	case reflect.Slice, reflect.Array:
		return listOf(plain)
	case reflect.Map:
		return mapOf(plain)
	}
	return nil, fmt.Errorf("podium: no value can hold a %s", plain.Type())
}

func pointedAt(pointer reflect.Value) any {
	if pointer.IsNil() {
		return nil
	}
	return pointer.Elem().Interface()
}

func listOf(plain reflect.Value) (*podiumv1.Value, error) {
	list := &podiumv1.ValueList{}
	for i := range plain.Len() {
		item, err := NewValue(plain.Index(i).Interface())
		if err != nil {
			return nil, err
		}
		list.Values = append(list.Values, item)
	}
	return &podiumv1.Value{Kind: &podiumv1.Value_ListValue{ListValue: list}}, nil
}

func mapOf(plain reflect.Value) (*podiumv1.Value, error) {
	entries := map[string]*podiumv1.Value{}
	for key, item := range plain.Seq2() {
		if key.Kind() != reflect.String {
			return nil, fmt.Errorf("podium: the keys of a map are strings, not %s", key.Type())
		}
		value, err := NewValue(item.Interface())
		if err != nil {
			return nil, err
		}
		entries[key.String()] = value
	}
	held := &podiumv1.ValueMap{Entries: entries}
	return &podiumv1.Value{Kind: &podiumv1.Value_MapValue{MapValue: held}}, nil
}
