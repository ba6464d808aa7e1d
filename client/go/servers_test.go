package podium_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"podium.example/podium"
)

// A malformed address in a list is named, and a socket has no list.
func TestListsOfAddresses(t *testing.T) {
	for _, good := range []string{" one:1, [::1]:2,one:1\n", "unix:/run/a,b"} {
		connected(t, good)
	}
	for list, bad := range map[string]string{
		"one:1,two": `"two"`, "one:1,": `""`, "one:1,unix:/run/podium.sock": `"unix:/run/podium.sock"`,
	} {
		_, err := podium.Connect(list)
		if err == nil || !strings.HasSuffix(err.Error(), "an address is HOST:PORT or unix:PATH, not "+bad) {
			t.Errorf("%q: %v", list, err)
		}
	}
}

// A server whose health service says that it does not serve gets no calls.
func TestAnUnhealthyServer(t *testing.T) {
	service, address := servedAt(t, "tcp", "127.0.0.1:0")
	service.reads.Store(3)
	listener, server, unhealthy := listening(t), grpc.NewServer(), health.NewServer()
	unhealthy.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	healthv1.RegisterHealthServer(server, unhealthy)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	arm := connected(t, listener.Addr().String()+","+address).Arm("x", "a")
	for range 4 {
		// The unhealthy server would answer that it is no Podium server.
		if _, _, err := arm.Score(t.Context(), "acc"); err != nil {
			t.Fatal(err)
		}
	}
}

// A call that a stopping server rejects is sent to the other server at once, even a single write.
func TestAStoppingServer(t *testing.T) {
	addresses := make([]string, 2)
	services := make([]*overloaded, 2)
	for i := range services {
		services[i] = &overloaded{reason: "SHUTTING_DOWN", delay: time.Hour}
		listener := listening(t)
		serve(t, listener, services[i])
		addresses[i] = listener.Addr().String()
	}
	experiment := connected(t, strings.Join(addresses, ",")).Experiment("x")
	record := func() {
		if _, err := experiment.Record(t.Context(), podium.Skipped()); err != nil {
			t.Fatal(err)
		}
	}
	// Until the client is connected to both.
	for services[0].writes.Load() == 0 || services[1].writes.Load() == 0 {
		record()
	}
	services[0].refusals = 1_000_000
	before := services[0].writes.Load()
	for services[0].writes.Load() == before {
		record()
	}
	if stored := services[1].writes.Load(); stored == 0 {
		t.Errorf("%d writes", stored)
	}
}

// If no server answers, the error names all addresses.
func TestNoServerAnswers(t *testing.T) {
	one, other := listening(t), listening(t)
	_, _ = one.Close(), other.Close()
	list := one.Addr().String() + "," + other.Addr().String()
	_, err := connected(t, list).Experiment("x").Delete(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no Podium server answers at "+list+":") {
		t.Errorf("no server: %v", err)
	}
	if strings.Contains(err.Error(), "is unknown") {
		t.Errorf("a call that was not sent: %v", err)
	}
}
