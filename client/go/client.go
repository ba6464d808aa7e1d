// Package podium is a client of Podium, the results service of machine-learning experiments. It
// records results and reads them with Eval and Score, from a server or from an arm in this process.
//
//	client, err := podium.Connect("localhost:50051")
//	arm := client.Arm("rank_sweep", "lora_rank4")
//	row, err := arm.EvalAt(ctx, "val", 100)
//	value, found, err := arm.Score(ctx, "test.pass_rate")
//
// Messages are those of package podiumv1, generated from the protocol. The file docs/semantics.md of
// the project defines the results.
package podium

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"

	"podium.example/podium/podiumv1"
)

const (
	// ReadTimeout is the deadline of a read whose context has none.
	ReadTimeout = 10 * time.Second
	// WriteTimeout is the deadline of a write whose context has none.
	WriteTimeout = 30 * time.Second

	defaultAddress = "localhost:50051"
	// A response is larger than the request that recorded it: it also has times and revisions.
	maxResponseBytes = 16 << 20
)

// Client is a connection to a server. Any number of goroutines may share it.
type Client struct {
	// Results has every rpc that reads, with the deadlines and errors of the client.
	Results podiumv1.ResultsServiceClient
	// Recording has every rpc that writes, with the same deadlines and errors.
	Recording podiumv1.RecordingServiceClient
	// Access has every rpc about tokens, with the same deadlines and errors.
	Access podiumv1.AccessServiceClient

	address    string
	connection *grpc.ClientConn
}

// Connect makes a client of the server at an address, HOST:PORT or unix:PATH. An empty address
// stands for the environment variable PODIUM_ADDRESS, or localhost:50051 if that is not set either.
// The first call connects. An address in another form is an error.
//
// HOST:PORT,HOST:PORT are several servers with the same results, and dns:NAME:PORT all servers of a
// name. They get calls in turns. If one stops or cannot be reached, the others get its calls.
//
// Options are added to those of the client. WithTLS encrypts the connection, and WithToken sends a token.
// Metadata of a single call goes with its context, by metadata.AppendToOutgoingContext.
func Connect(address string, options ...grpc.DialOption) (*Client, error) {
	if address == "" {
		address = os.Getenv("PODIUM_ADDRESS")
	}
	if address == "" {
		address = defaultAddress
	}
	servers, err := serversOf(address)
	if err != nil {
		return nil, err
	}
	address = strings.Join(servers, ",")
	secure, err := securityOptions(servers, options)
	if err != nil {
		return nil, err
	}
	target, balancing := targetOf(servers)
	all := slices.Concat(dialOptions(address, len(servers)), balancing, secure, options)
	connection, err := grpc.NewClient(target, all...)
	if err != nil {
		return nil, err
	}
	return &Client{
		Results:    podiumv1.NewResultsServiceClient(connection),
		Recording:  podiumv1.NewRecordingServiceClient(connection),
		Access:     podiumv1.NewAccessServiceClient(connection),
		address:    address,
		connection: connection,
	}, nil
}

// Close closes the connection, and cancels running calls.
func (c *Client) Close() error {
	return c.connection.Close()
}

func dialOptions(address string, servers int) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUserAgent(userAgent()),
		// everyCall retries calls. The retries of gRPC would end after 5 attempts, even before the deadline.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		// Pings detect a server that is gone without closing the connection.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true,
		}),
		// A restarted server is found between the retries of a call. The default of gRPC is two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponseBytes)),
		grpc.WithChainUnaryInterceptor(everyCall(address, servers)),
	}
}

// everyCall gives each call a deadline, retries it until then, and converts its error to an *Error.
func everyCall(address string, servers int) grpc.UnaryClientInterceptor {
	return func(
		ctx context.Context, method string, request, response any,
		connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
	) error {
		if _, has := ctx.Deadline(); !has {
			limited, cancel := context.WithTimeout(ctx, timeoutOf(method))
			defer cancel()
			ctx = limited
		}
		deadline, _ := ctx.Deadline()
		timeout := time.Until(deadline).Round(time.Millisecond)
		isWrite, isLost, others := isWrite(method), false, servers-1
		for attempt := 0; ; attempt++ {
			var server peer.Peer
			err := invoke(ctx, method, request, response, connection,
				append(slices.Clip(options), grpc.Peer(&server))...)
			if err == nil {
				return nil
			}
			failed := fromCall(err)
			// A call without a peer was not sent, since there was no connection.
			failed.wasSent = server.Addr != nil
			if failed.Code == codes.Canceled && ctx.Err() == nil {
				if failed.isClosed = !isOpen(connection); !failed.isClosed {
					// This client did not cancel it: a server that stops cancels new calls.
					failed.Code = codes.Unavailable
				}
			}
			if failed.Reason == shuttingDown && others > 0 {
				// It is the turn of the next server.
				others--
				continue
			}
			isLost = isLost || (isWrite && failed.wasSent && failed.Reason == "")
			if !isRetried(failed, isWrite && !hasPosition(request)) {
				return explained(failed, address, timeout, isLost && failed.Reason == "")
			}
			if !pausedBefore(ctx, pauseAfter(attempt, failed)) {
				return explained(failed, address, timeout, isLost)
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
