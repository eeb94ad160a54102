import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reliability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELIABILITY_UNSPECIFIED: _ClassVar[Reliability]
    RELIABILITY_RELIABLE: _ClassVar[Reliability]
    RELIABILITY_UNSUPPORTED_LANGUAGE: _ClassVar[Reliability]
    RELIABILITY_INSUFFICIENT_TEXT: _ClassVar[Reliability]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_UNIQUE: _ClassVar[Verdict]
    VERDICT_EXACT_DUPLICATE: _ClassVar[Verdict]
    VERDICT_NEAR_DUPLICATE: _ClassVar[Verdict]
    VERDICT_PARTIAL_DUPLICATE: _ClassVar[Verdict]
    VERDICT_INSUFFICIENT_TEXT: _ClassVar[Verdict]

class MatchKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MATCH_KIND_UNSPECIFIED: _ClassVar[MatchKind]
    MATCH_KIND_EXACT: _ClassVar[MatchKind]
    MATCH_KIND_NEAR: _ClassVar[MatchKind]
    MATCH_KIND_PARTIAL: _ClassVar[MatchKind]

class ArticleView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARTICLE_VIEW_UNSPECIFIED: _ClassVar[ArticleView]
    ARTICLE_VIEW_BASIC: _ClassVar[ArticleView]
    ARTICLE_VIEW_FULL: _ClassVar[ArticleView]
RELIABILITY_UNSPECIFIED: Reliability
RELIABILITY_RELIABLE: Reliability
RELIABILITY_UNSUPPORTED_LANGUAGE: Reliability
RELIABILITY_INSUFFICIENT_TEXT: Reliability
VERDICT_UNSPECIFIED: Verdict
VERDICT_UNIQUE: Verdict
VERDICT_EXACT_DUPLICATE: Verdict
VERDICT_NEAR_DUPLICATE: Verdict
VERDICT_PARTIAL_DUPLICATE: Verdict
VERDICT_INSUFFICIENT_TEXT: Verdict
MATCH_KIND_UNSPECIFIED: MatchKind
MATCH_KIND_EXACT: MatchKind
MATCH_KIND_NEAR: MatchKind
MATCH_KIND_PARTIAL: MatchKind
ARTICLE_VIEW_UNSPECIFIED: ArticleView
ARTICLE_VIEW_BASIC: ArticleView
ARTICLE_VIEW_FULL: ArticleView

class Article(_message.Message):
    __slots__ = ("article_id", "title", "body", "url", "source", "publish_time", "language", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ARTICLE_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TIME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    article_id: str
    title: str
    body: str
    url: str
    source: str
    publish_time: _timestamp_pb2.Timestamp
    language: str
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, article_id: _Optional[str] = ..., title: _Optional[str] = ..., body: _Optional[str] = ..., url: _Optional[str] = ..., source: _Optional[str] = ..., publish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., language: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class AnalysisOptions(_message.Message):
    __slots__ = ("explain", "max_matches")
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    MAX_MATCHES_FIELD_NUMBER: _ClassVar[int]
    explain: bool
    max_matches: int
    def __init__(self, explain: bool = ..., max_matches: _Optional[int] = ...) -> None: ...

class Analysis(_message.Message):
    __slots__ = ("classification", "duplicates", "fingerprint")
    CLASSIFICATION_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    classification: Classification
    duplicates: DuplicateReport
    fingerprint: Fingerprint
    def __init__(self, classification: _Optional[_Union[Classification, _Mapping]] = ..., duplicates: _Optional[_Union[DuplicateReport, _Mapping]] = ..., fingerprint: _Optional[_Union[Fingerprint, _Mapping]] = ...) -> None: ...

class Classification(_message.Message):
    __slots__ = ("topics", "reliability", "detected_language", "model_version")
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    RELIABILITY_FIELD_NUMBER: _ClassVar[int]
    DETECTED_LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    topics: _containers.RepeatedCompositeFieldContainer[TopicScore]
    reliability: Reliability
    detected_language: str
    model_version: str
    def __init__(self, topics: _Optional[_Iterable[_Union[TopicScore, _Mapping]]] = ..., reliability: _Optional[_Union[Reliability, str]] = ..., detected_language: _Optional[str] = ..., model_version: _Optional[str] = ...) -> None: ...

class TopicScore(_message.Message):
    __slots__ = ("topic", "probability", "threshold", "assigned", "evidence")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    topic: str
    probability: float
    threshold: float
    assigned: bool
    evidence: _containers.RepeatedCompositeFieldContainer[TopicEvidence]
    def __init__(self, topic: _Optional[str] = ..., probability: _Optional[float] = ..., threshold: _Optional[float] = ..., assigned: bool = ..., evidence: _Optional[_Iterable[_Union[TopicEvidence, _Mapping]]] = ...) -> None: ...

class TopicEvidence(_message.Message):
    __slots__ = ("text", "weight")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    text: str
    weight: float
    def __init__(self, text: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class DuplicateReport(_message.Message):
    __slots__ = ("verdict", "story_id", "canonical_article_id", "matches", "truncated")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    STORY_ID_FIELD_NUMBER: _ClassVar[int]
    CANONICAL_ARTICLE_ID_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    verdict: Verdict
    story_id: str
    canonical_article_id: str
    matches: _containers.RepeatedCompositeFieldContainer[Match]
    truncated: bool
    def __init__(self, verdict: _Optional[_Union[Verdict, str]] = ..., story_id: _Optional[str] = ..., canonical_article_id: _Optional[str] = ..., matches: _Optional[_Iterable[_Union[Match, _Mapping]]] = ..., truncated: bool = ...) -> None: ...

class Match(_message.Message):
    __slots__ = ("article_id", "kind", "hamming_distance", "similarity", "containment", "same_source", "title", "url", "source", "submit_time", "overlaps")
    ARTICLE_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HAMMING_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    CONTAINMENT_FIELD_NUMBER: _ClassVar[int]
    SAME_SOURCE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    OVERLAPS_FIELD_NUMBER: _ClassVar[int]
    article_id: str
    kind: MatchKind
    hamming_distance: int
    similarity: float
    containment: float
    same_source: bool
    title: str
    url: str
    source: str
    submit_time: _timestamp_pb2.Timestamp
    overlaps: _containers.RepeatedCompositeFieldContainer[Overlap]
    def __init__(self, article_id: _Optional[str] = ..., kind: _Optional[_Union[MatchKind, str]] = ..., hamming_distance: _Optional[int] = ..., similarity: _Optional[float] = ..., containment: _Optional[float] = ..., same_source: bool = ..., title: _Optional[str] = ..., url: _Optional[str] = ..., source: _Optional[str] = ..., submit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., overlaps: _Optional[_Iterable[_Union[Overlap, _Mapping]]] = ...) -> None: ...

class Overlap(_message.Message):
    __slots__ = ("start", "end", "matched_start", "matched_end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    MATCHED_START_FIELD_NUMBER: _ClassVar[int]
    MATCHED_END_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    matched_start: int
    matched_end: int
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ..., matched_start: _Optional[int] = ..., matched_end: _Optional[int] = ...) -> None: ...

class Fingerprint(_message.Message):
    __slots__ = ("simhash", "scheme")
    SIMHASH_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    simhash: int
    scheme: str
    def __init__(self, simhash: _Optional[int] = ..., scheme: _Optional[str] = ...) -> None: ...

class StoredArticle(_message.Message):
    __slots__ = ("article", "revision", "submit_time", "analysis")
    ARTICLE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    ANALYSIS_FIELD_NUMBER: _ClassVar[int]
    article: Article
    revision: int
    submit_time: _timestamp_pb2.Timestamp
    analysis: Analysis
    def __init__(self, article: _Optional[_Union[Article, _Mapping]] = ..., revision: _Optional[int] = ..., submit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., analysis: _Optional[_Union[Analysis, _Mapping]] = ...) -> None: ...
