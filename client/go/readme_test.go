package podium_test

import (
	"os"
	"strings"
	"testing"
)

// The README shows the examples as they are run.
func TestTheReadmeShowsTheExamples(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"examples/quickstart/main.go", "examples/training/main.go"} {
		example, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), "```go\n"+string(example)+"```\n") {
			t.Errorf("README.md does not show %s", file)
		}
	}
}
