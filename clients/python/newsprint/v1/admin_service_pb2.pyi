import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "limits", "fingerprint_scheme", "kernel", "model_version", "topics", "collection_count", "article_count", "story_count", "start_time", "languages")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_SCHEME_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    STORY_COUNT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    version: str
    limits: Limits
    fingerprint_scheme: str
    kernel: str
    model_version: str
    topics: _containers.RepeatedCompositeFieldContainer[TopicInfo]
    collection_count: int
    article_count: int
    story_count: int
    start_time: _timestamp_pb2.Timestamp
    languages: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., fingerprint_scheme: _Optional[str] = ..., kernel: _Optional[str] = ..., model_version: _Optional[str] = ..., topics: _Optional[_Iterable[_Union[TopicInfo, _Mapping]]] = ..., collection_count: _Optional[int] = ..., article_count: _Optional[int] = ..., story_count: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., languages: _Optional[_Iterable[str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("message_bytes_max", "title_bytes_max", "body_bytes_max", "article_id_bytes_max", "url_bytes_max", "source_bytes_max", "attribute_count_max", "batch_article_count_max", "match_count_max", "page_size_max", "in_flight_max", "fingerprint_words_min", "collection_count_max", "memory_bytes_max", "connection_count_max", "idle_max", "receive_max", "answer_max", "connection_age_max")
    MESSAGE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    TITLE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    BODY_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_ID_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    URL_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    SOURCE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_COUNT_MAX_FIELD_NUMBER: _ClassVar[int]
    BATCH_ARTICLE_COUNT_MAX_FIELD_NUMBER: _ClassVar[int]
    MATCH_COUNT_MAX_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_MAX_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_MAX_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_WORDS_MIN_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_COUNT_MAX_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_COUNT_MAX_FIELD_NUMBER: _ClassVar[int]
    IDLE_MAX_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_MAX_FIELD_NUMBER: _ClassVar[int]
    ANSWER_MAX_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_AGE_MAX_FIELD_NUMBER: _ClassVar[int]
    message_bytes_max: int
    title_bytes_max: int
    body_bytes_max: int
    article_id_bytes_max: int
    url_bytes_max: int
    source_bytes_max: int
    attribute_count_max: int
    batch_article_count_max: int
    match_count_max: int
    page_size_max: int
    in_flight_max: int
    fingerprint_words_min: int
    collection_count_max: int
    memory_bytes_max: int
    connection_count_max: int
    idle_max: _duration_pb2.Duration
    receive_max: _duration_pb2.Duration
    answer_max: _duration_pb2.Duration
    connection_age_max: _duration_pb2.Duration
    def __init__(self, message_bytes_max: _Optional[int] = ..., title_bytes_max: _Optional[int] = ..., body_bytes_max: _Optional[int] = ..., article_id_bytes_max: _Optional[int] = ..., url_bytes_max: _Optional[int] = ..., source_bytes_max: _Optional[int] = ..., attribute_count_max: _Optional[int] = ..., batch_article_count_max: _Optional[int] = ..., match_count_max: _Optional[int] = ..., page_size_max: _Optional[int] = ..., in_flight_max: _Optional[int] = ..., fingerprint_words_min: _Optional[int] = ..., collection_count_max: _Optional[int] = ..., memory_bytes_max: _Optional[int] = ..., connection_count_max: _Optional[int] = ..., idle_max: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., receive_max: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., answer_max: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., connection_age_max: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TopicInfo(_message.Message):
    __slots__ = ("topic", "threshold")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    topic: str
    threshold: float
    def __init__(self, topic: _Optional[str] = ..., threshold: _Optional[float] = ...) -> None: ...

class ReloadModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadModelResponse(_message.Message):
    __slots__ = ("model_version", "previous_model_version")
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    model_version: str
    previous_model_version: str
    def __init__(self, model_version: _Optional[str] = ..., previous_model_version: _Optional[str] = ...) -> None: ...

class CreateBackupRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CreateBackupResponse(_message.Message):
    __slots__ = ("path", "article_count", "size_bytes", "snapshot_time")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_TIME_FIELD_NUMBER: _ClassVar[int]
    path: str
    article_count: int
    size_bytes: int
    snapshot_time: _timestamp_pb2.Timestamp
    def __init__(self, path: _Optional[str] = ..., article_count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., snapshot_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Collection(_message.Message):
    __slots__ = ("collection", "settings", "article_count", "story_count", "create_time")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    STORY_COUNT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    collection: str
    settings: CollectionSettings
    article_count: int
    story_count: int
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, collection: _Optional[str] = ..., settings: _Optional[_Union[CollectionSettings, _Mapping]] = ..., article_count: _Optional[int] = ..., story_count: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CollectionSettings(_message.Message):
    __slots__ = ("retention", "keep_bodies", "candidate_hamming_distance", "near_threshold", "partial_threshold")
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    KEEP_BODIES_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_HAMMING_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    NEAR_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    retention: _duration_pb2.Duration
    keep_bodies: bool
    candidate_hamming_distance: int
    near_threshold: float
    partial_threshold: float
    def __init__(self, retention: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., keep_bodies: bool = ..., candidate_hamming_distance: _Optional[int] = ..., near_threshold: _Optional[float] = ..., partial_threshold: _Optional[float] = ...) -> None: ...

class ListCollectionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCollectionsResponse(_message.Message):
    __slots__ = ("collections", "next_page_token")
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collections: _containers.RepeatedCompositeFieldContainer[Collection]
    next_page_token: str
    def __init__(self, collections: _Optional[_Iterable[_Union[Collection, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateCollectionRequest(_message.Message):
    __slots__ = ("collection", "settings")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    settings: CollectionSettings
    def __init__(self, collection: _Optional[str] = ..., settings: _Optional[_Union[CollectionSettings, _Mapping]] = ...) -> None: ...

class UpdateCollectionResponse(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: Collection
    def __init__(self, collection: _Optional[_Union[Collection, _Mapping]] = ...) -> None: ...

class DeleteCollectionRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class DeleteCollectionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
