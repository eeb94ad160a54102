"""Errors of the service, with what they say of themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import grpc
from google.rpc import error_details_pb2, status_pb2

from newsprint.v1.article_service_pb2 import ItemError

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}


@dataclass(frozen=True)
class FieldViolation:
    """A field at fault, and what is wrong with it."""

    field: str
    description: str


class NewsprintError(Exception):
    """A call, or one article of a batch or stream, that was refused."""

    #: The canonical code.
    code: grpc.StatusCode
    #: Why, such as "OVERLOADED": the name of an ErrorReason (newsprint.v1.error_pb2) without its
    #: prefix. Empty if the server did not say, as when it cannot be reached.
    reason: str
    #: In English, for people.
    message: str
    #: Every field at fault.
    fields: list[FieldViolation]
    #: When trying again makes sense; None if it does not or if the server did not say.
    retry_after: timedelta | None

    def __init__(self, status: status_pb2.Status) -> None:
        self.code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
        self.message = status.message
        self.reason = ""
        self.fields = []
        self.retry_after = None
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            bad_request = error_details_pb2.BadRequest()
            retry_info = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                self.reason = info.reason
            elif detail.Unpack(bad_request):
                self.fields = [
                    FieldViolation(violation.field, violation.description)
                    for violation in bad_request.field_violations
                ]
            elif detail.Unpack(retry_info):
                self.retry_after = retry_info.retry_delay.ToTimedelta()
        super().__init__(status)

    def __str__(self) -> str:
        reason = f", {self.reason}" if self.reason else ""
        return f"{self.message} ({self.code.name}{reason})"

    @property
    def is_passing(self) -> bool:
        """Whether the same call may succeed later."""
        return self.code in _PASSING

    @classmethod
    def of_call(cls, error: grpc.RpcError) -> "NewsprintError":
        """The error of a call that was made through a stub."""
        status = status_pb2.Status(code=error.code().value[0], message=error.details() or "")
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status.details.extend(status_pb2.Status.FromString(value).details)
        return cls(status)

    @classmethod
    def of_item(cls, error: ItemError) -> "NewsprintError":
        """The error of one article of several."""
        status = status_pb2.Status(
            code=error.code, message=error.message, details=error.details
        )
        return cls(status)


@contextmanager
def raised_as_ours() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise NewsprintError.of_call(error) from error
