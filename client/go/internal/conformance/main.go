// Command conformance holds this client to the vectors of the project: see
// tests/conformance/README.md there.
//
//	conformance PLAN
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"podium.example/podium"
)

// entry is one of a plan: a file of vectors, or an arm to write or read.
type entry struct {
	File       string          `json:"file"`
	Address    string          `json:"address"`
	Exchange   string          `json:"exchange"`
	Experiment string          `json:"experiment"`
	Arm        json.RawMessage `json:"arm"`
}

// report is what became of a case.
type report struct {
	File   string `json:"file"`
	Way    string `json:"way"`
	Case   string `json:"case"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: conformance PLAN")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(plan string) error {
	var entries []entry
	if err := readJSON(plan, &entries); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := goThrough(entry); err != nil {
			return err
		}
	}
	return nil
}

func goThrough(entry entry) error {
	client, err := podium.Connect(entry.Address)
	if err != nil {
		return err
	}
	defer client.Close()
	switch {
	case entry.Exchange != "":
		return exchange(client, entry)
	case strings.HasPrefix(filepath.Base(entry.File), "reads"):
		return goThroughReads(client, entry.File)
	case strings.HasPrefix(filepath.Base(entry.File), "rank"):
		return goThroughRankings(client, entry.File)
	default:
		return goThroughWrites(client, entry.File)
	}
}

func readJSON(file string, into any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// tell reports a case; an error is what disagreed.
func tell(file, way, name string, disagreed error) {
	told := report{File: filepath.Base(file), Way: way, Case: name, OK: disagreed == nil}
	if disagreed != nil {
		told.Detail = disagreed.Error()
	}
	line, err := json.Marshal(told)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

var experiments int

// newExperiment is an experiment of its own for each case.
func newExperiment(client *podium.Client) (*podium.Experiment, string) {
	experiments++
	name := fmt.Sprintf("conformance/go/%d", experiments)
	return client.Experiment(name), name
}

var background = context.Background()
