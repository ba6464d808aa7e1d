package podium_test

import (
	"math"
	"reflect"
	"testing"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// What a value is made of comes back, and an integer stays an integer.
func TestValuesOfPlainData(t *testing.T) {
	four := 4
	given := map[string]any{
		"rank": 4, "pointer": &four, "rate": 4.0, "big": uint64(math.MaxInt64), "none": nil,
		"on": true, "names": []string{"a"}, "empty": []int{}, "deep": map[string]any{"x": []any{nil}},
	}
	want := map[string]any{
		"rank": int64(4), "pointer": int64(4), "rate": 4.0, "big": int64(math.MaxInt64), "none": nil,
		"on": true, "names": []any{"a"}, "empty": []any{}, "deep": map[string]any{"x": []any{nil}},
	}
	value, err := podium.NewValue(given)
	if err != nil {
		t.Fatal(err)
	}
	if plain := podium.Plain(value); !reflect.DeepEqual(plain, want) {
		t.Errorf("%v came back as %v", given, plain)
	}
	inner, err := podium.NewValue([]*podiumv1.Value{value})
	if err != nil || !reflect.DeepEqual(podium.Plain(inner), []any{want}) {
		t.Errorf("a value in a list: %v, %v", inner, err)
	}
}

// What no value can hold is an error that says so.
func TestValuesOfOtherData(t *testing.T) {
	for _, bad := range []any{make(chan int), map[int]int{1: 1}, []any{func() {}}, uint64(1 << 63)} {
		if value, err := podium.NewValue(bad); err == nil {
			t.Errorf("%v became %v", bad, value)
		}
	}
}
