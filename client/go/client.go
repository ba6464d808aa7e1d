// Package podium asks a Podium server what eval and score answer, records results, and answers
// the same two questions for an arm in this process, without a server.
//
//	client, err := podium.Connect("localhost:50051")
//	arm := client.Arm("rank_sweep", "lora_rank4")
//	row, err := arm.EvalAt(ctx, "val", 100)
//	value, found, err := arm.Score(ctx, "test.pass_rate")
//
// Messages are those of package podiumv1, generated from the protocol. What an answer means is
// written down in docs/semantics.md of the project.
package podium

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"

	"podium.example/podium/podiumv1"
)

const (
	// ReadTimeout is how long a question may take whose context has no deadline.
	ReadTimeout = 10 * time.Second
	// WriteTimeout is how long a call that changes something may take whose context has no
	// deadline.
	WriteTimeout = 30 * time.Second

	defaultAddress = "localhost:50051"
	// What was recorded in a message of 4 MiB comes back with times and revisions.
	maxResponseBytes = 16 << 20
)

// Client is a connection to a server. Any number of goroutines may share it.
type Client struct {
	// Results has every rpc that reads, for what the other methods do not wrap. Its deadlines and
	// errors are the client's.
	Results podiumv1.ResultsServiceClient
	// Recording has every rpc that writes, likewise.
	Recording podiumv1.RecordingServiceClient
	// Access has every rpc about tokens, likewise.
	Access podiumv1.AccessServiceClient

	connection *grpc.ClientConn
}

// Connect makes a client of the server at an address, HOST:PORT or unix:PATH. An empty address
// stands for the environment variable PODIUM_ADDRESS, or localhost:50051 where that is not set
// either. The connection is opened by the first call. Another address is an error.
//
// Options are added to the client's own: WithTLS encrypts the connection, and WithToken sends a token.
// Metadata of a single call goes with its context, by metadata.AppendToOutgoingContext.
func Connect(address string, options ...grpc.DialOption) (*Client, error) {
	if address == "" {
		address = os.Getenv("PODIUM_ADDRESS")
	}
	if address == "" {
		address = defaultAddress
	}
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	secure, err := securityOptions(address, options)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(dialOptions(address), secure, options)
	connection, err := grpc.NewClient(address, all...)
	if err != nil {
		return nil, err
	}
	return &Client{
		Results:    podiumv1.NewResultsServiceClient(connection),
		Recording:  podiumv1.NewRecordingServiceClient(connection),
		Access:     podiumv1.NewAccessServiceClient(connection),
		connection: connection,
	}, nil
}

// checkAddress refuses what gRPC would take for a host without a port, or for a scheme.
func checkAddress(address string) error {
	scheme, rest, hasScheme := strings.Cut(address, ":")
	if hasScheme && rest != "" && resolver.Get(scheme) != nil {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" {
		return fmt.Errorf("podium: an address is HOST:PORT or unix:PATH, not %q", address)
	}
	return nil
}

// Close ends the connection; calls under way are cancelled.
func (c *Client) Close() error {
	return c.connection.Close()
}

func dialOptions(address string) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUserAgent(userAgent()),
		// everyCall repeats calls: gRPC would end after 5 attempts, however much time is left.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		// Notices a server that vanished without a word.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true,
		}),
		// A server that is back is found while a call is repeated; gRPC's default is two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponseBytes)),
		grpc.WithChainUnaryInterceptor(everyCall(address)),
	}
}

// everyCall gives each call a deadline, repeats it until then, and turns its failure into an *Error.
func everyCall(address string) grpc.UnaryClientInterceptor {
	return func(
		ctx context.Context, method string, request, response any,
		connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
	) error {
		if _, has := ctx.Deadline(); !has {
			limited, cancel := context.WithTimeout(ctx, timeoutOf(method))
			defer cancel()
			ctx = limited
		}
		isWrite, isLost := isWrite(method), false
		for attempt := 0; ; attempt++ {
			var server peer.Peer
			err := invoke(ctx, method, request, response, connection,
				append(slices.Clip(options), grpc.Peer(&server))...)
			if err == nil {
				return nil
			}
			failed := fromCall(err)
			if failed.Code == codes.Canceled && ctx.Err() == nil {
				if failed.isClosed = !isOpen(connection); !failed.isClosed {
					// Nobody here cancelled it: so does a server that stops end what has just arrived.
					failed.Code = codes.Unavailable
				}
			}
			// A call without a peer never left: there was no connection to send it over.
			isLost = isLost || (isWrite && server.Addr != nil && failed.Reason == "")
			if !isRetried(failed, isWrite && !hasPosition(request)) {
				return explained(failed, address, isLost && failed.Reason == "")
			}
			if !pausedBefore(ctx, pauseAfter(attempt, failed)) {
				return explained(failed, address, isLost)
			}
		}
	}
}

func isOpen(connection *grpc.ClientConn) bool {
	return connection.GetState() != connectivity.Shutdown
}

func timeoutOf(method string) time.Duration {
	if isWrite(method) {
		return WriteTimeout
	}
	return ReadTimeout
}
