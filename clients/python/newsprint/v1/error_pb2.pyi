from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_FIELDS: _ClassVar[ErrorReason]
    ERROR_REASON_MALFORMED_MESSAGE: _ClassVar[ErrorReason]
    ERROR_REASON_MESSAGE_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_ARTICLE_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_STORY_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_COLLECTION_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_BACKUP_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_NO_FINGERPRINT: _ClassVar[ErrorReason]
    ERROR_REASON_NO_MODEL_FILE: _ClassVar[ErrorReason]
    ERROR_REASON_MODEL_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_STORE_UNUSABLE: _ClassVar[ErrorReason]
    ERROR_REASON_OVERLOADED: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_SERVING: _ClassVar[ErrorReason]
    ERROR_REASON_DISK_FULL: _ClassVar[ErrorReason]
    ERROR_REASON_STORE_UNREACHABLE: _ClassVar[ErrorReason]
    ERROR_REASON_STORE_CLOSED: _ClassVar[ErrorReason]
    ERROR_REASON_DEADLINE_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_UNKNOWN_METHOD: _ClassVar[ErrorReason]
    ERROR_REASON_UNSUPPORTED_ENCODING: _ClassVar[ErrorReason]
    ERROR_REASON_DATA_DAMAGED: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_FIELDS: ErrorReason
ERROR_REASON_MALFORMED_MESSAGE: ErrorReason
ERROR_REASON_MESSAGE_TOO_LARGE: ErrorReason
ERROR_REASON_ARTICLE_NOT_FOUND: ErrorReason
ERROR_REASON_STORY_NOT_FOUND: ErrorReason
ERROR_REASON_COLLECTION_NOT_FOUND: ErrorReason
ERROR_REASON_BACKUP_EXISTS: ErrorReason
ERROR_REASON_NO_FINGERPRINT: ErrorReason
ERROR_REASON_NO_MODEL_FILE: ErrorReason
ERROR_REASON_MODEL_REFUSED: ErrorReason
ERROR_REASON_STORE_UNUSABLE: ErrorReason
ERROR_REASON_OVERLOADED: ErrorReason
ERROR_REASON_NOT_SERVING: ErrorReason
ERROR_REASON_DISK_FULL: ErrorReason
ERROR_REASON_STORE_UNREACHABLE: ErrorReason
ERROR_REASON_STORE_CLOSED: ErrorReason
ERROR_REASON_DEADLINE_EXCEEDED: ErrorReason
ERROR_REASON_UNKNOWN_METHOD: ErrorReason
ERROR_REASON_UNSUPPORTED_ENCODING: ErrorReason
ERROR_REASON_DATA_DAMAGED: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
