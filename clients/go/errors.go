package newsprint

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/newsprint/newsprint/clients/go/newsprintv1"
)

// reasonPrefix is what the names of reasons begin with in the contract, but not in an error.
const reasonPrefix = "ERROR_REASON_"

// FieldViolation is a field at fault, and what is wrong with it.
type FieldViolation struct {
	Field       string
	Description string
}

// Error says why a call was refused, or one article of a batch or stream.
type Error struct {
	Code codes.Code

	// Reason says what to do. It is UNSPECIFIED if the server did not say, as when it cannot be
	// reached, or if its reason is newer than this client; go by the code then.
	Reason newsprintv1.ErrorReason

	// Message is in English, for people.
	Message string

	// Fields are all fields at fault.
	Fields []FieldViolation

	// RetryAfter is when trying again makes sense; zero if it does not or the server did not say.
	RetryAfter time.Duration

	status *status.Status
}

func (e *Error) Error() string {
	if e.Reason == newsprintv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return fmt.Sprintf("%s (%s)", e.Message, e.Code)
	}
	return fmt.Sprintf("%s (%s, %s)", e.Message, e.Code, e.Reason.String()[len(reasonPrefix):])
}

// GRPCStatus lets status.FromError and status.Code work as with any error of gRPC.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// IsPassing tells whether the same call may succeed later.
func (e *Error) IsPassing() bool {
	return e.Code == codes.Unavailable || e.Code == codes.ResourceExhausted
}

// asError makes an *Error of what gRPC returned, and leaves everything else alone.
func asError(err error) error {
	var ours *Error
	if err == nil || errors.As(err, &ours) {
		return err
	}
	if from, ok := status.FromError(err); ok {
		return errorOf(from)
	}
	return err
}

func errorOfItem(item *newsprintv1.ItemError) *Error {
	return errorOf(status.FromProto(&statuspb.Status{
		Code:    item.GetCode(),
		Message: item.GetMessage(),
		Details: item.GetDetails(),
	}))
}

func errorOf(from *status.Status) *Error {
	e := &Error{Code: from.Code(), Message: from.Message(), status: from}
	for _, detail := range from.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			number := newsprintv1.ErrorReason_value[reasonPrefix+detail.GetReason()]
			e.Reason = newsprintv1.ErrorReason(number)
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				field := FieldViolation{violation.GetField(), violation.GetDescription()}
				e.Fields = append(e.Fields, field)
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	return e
}
