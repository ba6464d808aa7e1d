package podium

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"podium.example/podium/podiumv1"
)

const (
	errorDomain  = "podium"
	reasonPrefix = "ERROR_REASON_"

	outcomeUnknown = ": whether it was stored is unknown, and it is safe to send it again"
)

// ErrClosed is the cause of the error of a call whose client was closed. Use errors.Is.
var ErrClosed = errors.New("this client is closed; create a new one")

// Error is the error of a failed call. Every call of this package returns it; use errors.As.
type Error struct {
	// Code is the canonical code, such as codes.NotFound.
	Code codes.Code
	// Reason is the reason, such as STALE_ATTEMPT: a name of podiumv1.ErrorReason without its
	// prefix. Empty if the error has no reason.
	Reason string
	// Message is the error text: what was wrong, and what would be right.
	Message string
	// Metadata has details of the reason, such as {"arm": "lora_rank4"}.
	Metadata map[string]string
	// Refusals has every rejected event of a Record call. Empty for other calls.
	Refusals []RefusedEvent

	status *status.Status
	// retryDelay is the delay before a retry that the server asks for, or 0.
	retryDelay time.Duration
	isClosed   bool
	// wasSent means that there was a connection, so that the server may have received the call.
	wasSent bool
}

// RefusedEvent is a rejected event of a Record call.
type RefusedEvent struct {
	// Index is the index of the event in the call, from 0.
	Index int
	// Reason is the reason, as in Error. Empty if this version does not know it.
	Reason string
	// Permanent means that the event will never be accepted. Otherwise it waits for something that does
	// not exist yet.
	Permanent bool
	// Message is the error text of the first event that was rejected for this reason.
	Message string
}

// Error returns the reason or the code, and the message.
func (e *Error) Error() string {
	if e.Reason != "" {
		return e.Reason + ": " + e.Message
	}
	return e.Code.String() + ": " + e.Message
}

// HasReason returns whether an error is an *Error with this reason, or wraps one.
func HasReason(err error, reason podiumv1.ErrorReason) bool {
	var failed *Error
	return errors.As(err, &failed) && failed.Reason != "" && failed.Reason == reasonName(reason)
}

// GRPCStatus returns the status of the call, for status.Code.
func (e *Error) GRPCStatus() *status.Status {
	if e.status == nil {
		return status.New(e.Code, e.Message)
	}
	return e.status
}

// Unwrap lets errors.Is find context.DeadlineExceeded, context.Canceled and ErrClosed.
func (e *Error) Unwrap() error {
	switch {
	case e.isClosed:
		return ErrClosed
	case e.Code == codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case e.Code == codes.Canceled:
		return context.Canceled
	}
	return nil
}

// fromCall returns the error of a failed call, from any server. Fields for which the server sent no
// details are empty.
func fromCall(err error) *Error {
	given := status.Convert(err)
	result := &Error{Code: given.Code(), Message: given.Message(), status: given}
	for _, detail := range given.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == errorDomain {
				result.Reason, result.Metadata = detail.GetReason(), detail.GetMetadata()
			}
		case *podiumv1.Refusals:
			result.Refusals = refusedEvents(detail)
		case *errdetails.RetryInfo:
			result.retryDelay = detail.GetRetryDelay().AsDuration()
		}
	}
	return result
}

// explained completes an error: with the cause if the server gave none, and with a note if a write may
// have been stored.
func explained(failed *Error, address string, timeout time.Duration, maybeStored bool) *Error {
	if failed.Reason == "" {
		describe(failed, address, timeout)
	}
	if maybeStored && failed.Code != codes.Unimplemented {
		failed.Message += outcomeUnknown
	}
	return failed
}

func describe(failed *Error, address string, timeout time.Duration) {
	switch failed.Code {
	case codes.Unavailable:
		if strings.Contains(failed.Message, "authentication handshake failed") {
			failed.Message = fmt.Sprintf("no encrypted connection to %s (%s)", address, failed.Message)
			return
		}
		if failed.wasSent {
			failed.Message = fmt.Sprintf("the connection to %s was lost during the call (%s)", address, failed.Message)
			return
		}
		failed.Message = fmt.Sprintf("no Podium server answers at %s: start one with `podium serve`, "+
			"or give the right address (%s)", address, failed.Message)
	case codes.DeadlineExceeded:
		failed.Message = fmt.Sprintf("%s did not answer within %.6g s", address, timeout.Seconds())
	case codes.Unauthenticated:
		// This client has set the code: a server would give a reason.
	case codes.Canceled:
		failed.Message = "the call was cancelled"
		if failed.isClosed {
			failed.Message = ErrClosed.Error()
		}
	case codes.Unimplemented:
		failed.Message = address + " is not a Podium server, or an older one without this call"
	default:
		failed.Message = address + ": " + failed.Message
	}
}

func refusedEvents(refusals *podiumv1.Refusals) []RefusedEvent {
	var events []RefusedEvent
	for _, refusal := range refusals.GetRefusals() {
		for _, index := range refusal.GetEventIndexes() {
			events = append(events, RefusedEvent{
				Index:  int(index),
				Reason: refusal.GetReason(),
				// An unknown kind counts as permanent: nothing says that waiting helps.
				Permanent: refusal.GetKind() != podiumv1.RefusalKind_REFUSAL_KIND_WAIT,
				Message:   refusal.GetMessage(),
			})
		}
	}
	slices.SortStableFunc(events, func(a, b RefusedEvent) int { return a.Index - b.Index })
	return events
}

func reasonName(reason podiumv1.ErrorReason) string {
	name, known := podiumv1.ErrorReason_name[int32(reason)]
	if !known || reason == podiumv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return ""
	}
	return strings.TrimPrefix(name, reasonPrefix)
}

// isWrite returns whether a call such as /podium.v1.ResultsService/Eval can change something.
func isWrite(method string) bool {
	name := strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return true
	}
	options, _ := found.Options().(*descriptorpb.MethodOptions)
	return options.GetIdempotencyLevel() != descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

func invalidMetric() *Error {
	return &Error{
		Code: codes.InvalidArgument, Reason: "NAME_INVALID",
		Message: "metric must not be empty", Metadata: map[string]string{"field": "metric"},
	}
}
