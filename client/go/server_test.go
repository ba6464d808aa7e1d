package podium_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// address is where a real server answers: PODIUM_ADDRESS, or one that the tests start.
var address = os.Getenv("PODIUM_ADDRESS")

func TestMain(m *testing.M) {
	stop := func() {}
	if address == "" {
		var err error
		if address, stop, err = startServer(); err != nil {
			fmt.Fprintln(os.Stderr, "these tests need a server: set PODIUM_ADDRESS, "+
				"or have the command podium on the PATH:", err)
			os.Exit(1)
		}
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

func startServer() (address string, stop func(), err error) {
	folder, err := os.MkdirTemp("", "podium")
	if err != nil {
		return "", nil, err
	}
	store := "sqlite:///" + filepath.Join(folder, "podium.db")
	command := exec.Command("podium", "serve", "--listen", "127.0.0.1:0", "--store", store)
	output, err := command.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := command.Start(); err != nil {
		return "", nil, err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	return strings.TrimSpace(strings.TrimPrefix(line, "listening on ")), func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		_ = os.RemoveAll(folder)
	}, err
}

func connected(t *testing.T, address string) *podium.Client {
	t.Helper()
	client, err := podium.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// declared is an experiment of the test's own.
func declared(t *testing.T) *podium.Experiment {
	t.Helper()
	name := fmt.Sprintf("go/%s/%d", t.Name(), time.Now().UnixNano())
	experiment := connected(t, address).Experiment(name)
	metric := "test.acc"
	recorded(t, experiment, podium.ExperimentDeclared(&podiumv1.ExperimentDeclared{
		SuccessMetric: &metric,
	}))
	return experiment
}

func recorded(t *testing.T, experiment *podium.Experiment, events ...*podiumv1.Event) {
	t.Helper()
	if _, err := experiment.Record(context.Background(), events...); err != nil {
		t.Fatal(err)
	}
}

func wholeArm(name string, rows ...*podiumv1.EvalResult) *podiumv1.Event {
	return podium.ArmRecorded(podium.NewArmResult(&podiumv1.ArmResult{
		Name: name, RunConfig: &podiumv1.RunConfig{Name: name},
		Status: podiumv1.ArmStatus_ARM_STATUS_COMPLETED, Evals: rows,
	}))
}
