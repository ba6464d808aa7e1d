package podium_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// troubled is a server that is away at first, and whose arm never stands still.
type troubled struct {
	podiumv1.UnimplementedResultsServiceServer
	podiumv1.UnimplementedRecordingServiceServer
	podiumv1.UnimplementedAccessServiceServer
	reads, writes, pages atomic.Int64
	deadline             atomic.Int64
	token                atomic.Value
}

// overloaded is a server that refuses its first calls, and asks to wait before the next one.
type overloaded struct {
	podiumv1.UnimplementedResultsServiceServer
	podiumv1.UnimplementedRecordingServiceServer
	reason        string
	refusals      int64
	delay         time.Duration
	reads, writes atomic.Int64
}

func (s *overloaded) Score(
	context.Context, *podiumv1.ScoreRequest,
) (*podiumv1.ScoreResponse, error) {
	value := 0.5
	return &podiumv1.ScoreResponse{Value: &value}, s.refuse(s.reads.Add(1))
}

func (s *overloaded) Record(
	context.Context, *podiumv1.RecordRequest,
) (*podiumv1.RecordResponse, error) {
	return &podiumv1.RecordResponse{}, s.refuse(s.writes.Add(1))
}

func (s *overloaded) refuse(call int64) error {
	if call > s.refusals {
		return nil
	}
	refused, err := status.New(codes.ResourceExhausted, "too much").WithDetails(
		&errdetails.ErrorInfo{Reason: s.reason, Domain: "podium"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(s.delay)},
	)
	if err != nil {
		return err
	}
	return refused.Err()
}

func (s *troubled) Score(
	ctx context.Context, _ *podiumv1.ScoreRequest,
) (*podiumv1.ScoreResponse, error) {
	if s.reads.Add(1) < 3 {
		return nil, status.Error(codes.Unavailable, "starting")
	}
	s.noteDeadline(ctx)
	given, _ := metadata.FromIncomingContext(ctx)
	s.token.Store(strings.Join(given["authorization"], ""))
	value := 0.5
	return &podiumv1.ScoreResponse{Value: &value}, nil
}

func (s *troubled) Record(
	ctx context.Context, _ *podiumv1.RecordRequest,
) (*podiumv1.RecordResponse, error) {
	s.writes.Add(1)
	s.noteDeadline(ctx)
	return nil, status.Error(codes.Unavailable, "stopping")
}

func (s *troubled) CreateToken(
	context.Context, *podiumv1.CreateTokenRequest,
) (*podiumv1.CreateTokenResponse, error) {
	s.writes.Add(1)
	return nil, status.Error(codes.Unavailable, "stopping")
}

func (s *troubled) noteDeadline(ctx context.Context) {
	deadline, _ := ctx.Deadline()
	s.deadline.Store(int64(time.Until(deadline).Round(time.Second).Seconds()))
}

func (s *troubled) GetArm(
	context.Context, *podiumv1.GetArmRequest,
) (*podiumv1.GetArmResponse, error) {
	arm := &podiumv1.ArmResult{Name: "a", Revision: s.pages.Add(1)}
	return &podiumv1.GetArmResponse{ArmResult: arm, NextEvalsPageToken: "more"}, nil
}

func (s *troubled) ListEvals(
	context.Context, *podiumv1.ListEvalsRequest,
) (*podiumv1.ListEvalsResponse, error) {
	return &podiumv1.ListEvalsResponse{Revision: s.pages.Add(1)}, nil
}

func served(t *testing.T) (*troubled, *podium.Client) {
	t.Helper()
	service, address := servedAt(t, "tcp", "127.0.0.1:0")
	return service, connected(t, address)
}

func servedAt(t *testing.T, network, place string) (*troubled, string) {
	t.Helper()
	listener, err := net.Listen(network, place)
	if err != nil {
		t.Fatal(err)
	}
	service := &troubled{}
	serve(t, listener, service)
	return service, listener.Addr().String()
}

func serve(t *testing.T, listener net.Listener, service interface {
	podiumv1.ResultsServiceServer
	podiumv1.RecordingServiceServer
}) {
	t.Helper()
	server := grpc.NewServer()
	podiumv1.RegisterResultsServiceServer(server, service)
	podiumv1.RegisterRecordingServiceServer(server, service)
	if access, has := service.(podiumv1.AccessServiceServer); has {
		podiumv1.RegisterAccessServiceServer(server, access)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
}

func refused(t *testing.T, service *overloaded) *podium.Client {
	t.Helper()
	listener := listening(t)
	serve(t, listener, service)
	return connected(t, listener.Addr().String())
}

func listening(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// A token is created by one call: a second one would create another token.
func TestTokensAreCreatedOnce(t *testing.T) {
	service, client := served(t)
	_, err := client.Access.CreateToken(t.Context(), &podiumv1.CreateTokenRequest{Name: "ci"})
	if status.Code(err) != codes.Unavailable || service.writes.Load() != 1 {
		t.Errorf("%d calls: %v", service.writes.Load(), err)
	}
}

// Reads and writes that an overloaded server refuses are repeated as long as there is time, when
// the server asks for it.
func TestOverloadedServersAreAskedAgain(t *testing.T) {
	service := &overloaded{reason: "OVERLOADED", refusals: 20, delay: time.Millisecond}
	client := refused(t, service)
	if _, _, err := client.Arm("x", "a").Score(t.Context(), "acc"); err != nil {
		t.Error(err)
	}
	if _, err := client.Experiment("x").Record(t.Context(), podium.Skipped()); err != nil {
		t.Error(err)
	}
	if reads, writes := service.reads.Load(), service.writes.Load(); reads != 21 || writes != 21 {
		t.Errorf("%d reads and %d writes", reads, writes)
	}
}

// A call is not repeated where the pause would end after its deadline: it fails at once, as the
// server said.
func TestNothingIsRepeatedAfterTheDeadline(t *testing.T) {
	client := refused(t, &overloaded{reason: "OVERLOADED", refusals: 1, delay: time.Hour})
	_, _, err := client.Arm("x", "a").Score(t.Context(), "acc")
	if !podium.HasReason(err, podiumv1.ErrorReason_ERROR_REASON_OVERLOADED) {
		t.Errorf("a read: %v", err)
	}
	_, err = client.Experiment("x").Record(t.Context(), podium.Skipped())
	if !podium.HasReason(err, podiumv1.ErrorReason_ERROR_REASON_OVERLOADED) {
		t.Errorf("a write: %v", err)
	}
}

// What stays as it is, such as a full disk, is no reason to repeat a call.
func TestOtherRefusalsAreNotRepeated(t *testing.T) {
	client := refused(t, &overloaded{reason: "STORAGE_FULL", refusals: 1, delay: time.Millisecond})
	_, _, err := client.Arm("x", "a").Score(t.Context(), "acc")
	if !podium.HasReason(err, podiumv1.ErrorReason_ERROR_REASON_STORAGE_FULL) {
		t.Errorf("a read: %v", err)
	}
}

// A socket is an address too, and a token goes with each call.
func TestSocketsAndTokens(t *testing.T) {
	service, place := servedAt(t, "unix", filepath.Join(t.TempDir(), "socket"))
	client := connected(t, "unix:"+place)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer x")
	if _, _, err := client.Arm("x", "a").Score(ctx, "acc"); err != nil {
		t.Fatal(err)
	}
	if token := service.token.Load(); token != "Bearer x" {
		t.Errorf("the token is %v", token)
	}
}

// What gRPC would take for a host without a port is refused at once.
func TestAddresses(t *testing.T) {
	for _, good := range []string{"localhost:1", "[::1]:2", "unix:/tmp/x", "dns:///localhost:1"} {
		connected(t, good)
	}
	for _, bad := range []string{"localhost", ":1", "h:", "h:99999", "http://h:1", "h:1/x", "unix:"} {
		if _, err := podium.Connect(bad); err == nil {
			t.Errorf("%q is taken for an address", bad)
		}
	}
}

// A read is repeated while the server is away; it has 10 seconds for that.
func TestReadsAreRepeated(t *testing.T) {
	service, client := served(t)
	value, found, err := client.Arm("x", "a").Score(t.Context(), "acc")
	if value != 0.5 || !found || err != nil {
		t.Errorf("score is %v, %v, %v", value, found, err)
	}
	if left := service.deadline.Load(); service.reads.Load() != 3 || left <= 0 || left > 10 {
		t.Errorf("%d reads, with %d s", service.reads.Load(), left)
	}
}

// A write is sent once: whether it was stored is unknown, and its error says so.
func TestWritesAreNotRepeated(t *testing.T) {
	service, client := served(t)
	_, err := client.Experiment("x").Record(t.Context(), podium.Skipped())
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "is unknown") {
		t.Errorf("a write to a server that stops: %v", err)
	}
	if left := service.deadline.Load(); service.writes.Load() != 1 || left <= 10 || left > 30 {
		t.Errorf("%d writes, with %d s", service.writes.Load(), left)
	}
}

// An arm that changes between all pages is not brought in pieces of several states.
func TestAnArmThatIsTooBusy(t *testing.T) {
	_, client := served(t)
	arm, err := client.Arm("x", "a").Get(t.Context())
	if arm != nil || status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), "too busy") {
		t.Errorf("a busy arm: %v, %v", arm, err)
	}
}

// A client that was closed says so, and not that somebody cancelled the context.
func TestClosedClients(t *testing.T) {
	_, client := served(t)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := client.Experiment("x").Delete(t.Context())
	if !errors.Is(err, podium.ErrClosed) || errors.Is(err, context.Canceled) {
		t.Errorf("a closed client: %v", err)
	}
	if strings.Contains(err.Error(), "unknown") {
		t.Errorf("what was never sent: %v", err)
	}
}

// A server that accepts and says nothing ends in a deadline; whether it stored a write is unknown.
// A write to an absent one never left, and its error has a hint.
func TestSilentAndAbsentServers(t *testing.T) {
	silent := listening(t)
	soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	client := connected(t, silent.Addr().String())
	_, err := client.Arm("x", "a").Eval(soon, "val")
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "unknown") {
		t.Errorf("a silent server: %v", err)
	}
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{silent.Addr().String(), "unix:" + t.TempDir() + "/socket"} {
		_, err = connected(t, place).Experiment("x").Delete(t.Context())
		if !strings.Contains(err.Error(), "podium serve") || strings.Contains(err.Error(), "unknown") {
			t.Errorf("an absent server: %v", err)
		}
	}
}
