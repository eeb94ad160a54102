import datetime

from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from newsprint.v1 import article_pb2 as _article_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmitArticleRequest(_message.Message):
    __slots__ = ("collection", "article", "options")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    article: _article_pb2.Article
    options: _article_pb2.AnalysisOptions
    def __init__(self, collection: _Optional[str] = ..., article: _Optional[_Union[_article_pb2.Article, _Mapping]] = ..., options: _Optional[_Union[_article_pb2.AnalysisOptions, _Mapping]] = ...) -> None: ...

class SubmitArticleResponse(_message.Message):
    __slots__ = ("collection", "article_id", "revision", "replayed", "submit_time", "analysis")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    ANALYSIS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    article_id: str
    revision: int
    replayed: bool
    submit_time: _timestamp_pb2.Timestamp
    analysis: _article_pb2.Analysis
    def __init__(self, collection: _Optional[str] = ..., article_id: _Optional[str] = ..., revision: _Optional[int] = ..., replayed: bool = ..., submit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., analysis: _Optional[_Union[_article_pb2.Analysis, _Mapping]] = ...) -> None: ...

class BatchSubmitArticlesRequest(_message.Message):
    __slots__ = ("collection", "articles", "options")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ARTICLES_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    articles: _containers.RepeatedCompositeFieldContainer[_article_pb2.Article]
    options: _article_pb2.AnalysisOptions
    def __init__(self, collection: _Optional[str] = ..., articles: _Optional[_Iterable[_Union[_article_pb2.Article, _Mapping]]] = ..., options: _Optional[_Union[_article_pb2.AnalysisOptions, _Mapping]] = ...) -> None: ...

class BatchSubmitArticlesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchSubmitArticlesResult]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchSubmitArticlesResult, _Mapping]]] = ...) -> None: ...

class BatchSubmitArticlesResult(_message.Message):
    __slots__ = ("outcome", "error")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    outcome: SubmitArticleResponse
    error: ItemError
    def __init__(self, outcome: _Optional[_Union[SubmitArticleResponse, _Mapping]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ...) -> None: ...

class ItemError(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: _containers.RepeatedCompositeFieldContainer[_any_pb2.Any]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[_Iterable[_Union[_any_pb2.Any, _Mapping]]] = ...) -> None: ...

class SubmitArticleStreamRequest(_message.Message):
    __slots__ = ("collection", "article", "options")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    article: _article_pb2.Article
    options: _article_pb2.AnalysisOptions
    def __init__(self, collection: _Optional[str] = ..., article: _Optional[_Union[_article_pb2.Article, _Mapping]] = ..., options: _Optional[_Union[_article_pb2.AnalysisOptions, _Mapping]] = ...) -> None: ...

class SubmitArticleStreamResponse(_message.Message):
    __slots__ = ("article_id", "outcome", "error")
    ARTICLE_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    article_id: str
    outcome: SubmitArticleResponse
    error: ItemError
    def __init__(self, article_id: _Optional[str] = ..., outcome: _Optional[_Union[SubmitArticleResponse, _Mapping]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ...) -> None: ...

class AnalyzeArticleRequest(_message.Message):
    __slots__ = ("collection", "article", "options")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    article: _article_pb2.Article
    options: _article_pb2.AnalysisOptions
    def __init__(self, collection: _Optional[str] = ..., article: _Optional[_Union[_article_pb2.Article, _Mapping]] = ..., options: _Optional[_Union[_article_pb2.AnalysisOptions, _Mapping]] = ...) -> None: ...

class AnalyzeArticleResponse(_message.Message):
    __slots__ = ("analysis",)
    ANALYSIS_FIELD_NUMBER: _ClassVar[int]
    analysis: _article_pb2.Analysis
    def __init__(self, analysis: _Optional[_Union[_article_pb2.Analysis, _Mapping]] = ...) -> None: ...

class GetArticleRequest(_message.Message):
    __slots__ = ("collection", "article_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_ID_FIELD_NUMBER: _ClassVar[int]
    collection: str
    article_id: str
    def __init__(self, collection: _Optional[str] = ..., article_id: _Optional[str] = ...) -> None: ...

class GetArticleResponse(_message.Message):
    __slots__ = ("stored",)
    STORED_FIELD_NUMBER: _ClassVar[int]
    stored: _article_pb2.StoredArticle
    def __init__(self, stored: _Optional[_Union[_article_pb2.StoredArticle, _Mapping]] = ...) -> None: ...

class ListArticlesRequest(_message.Message):
    __slots__ = ("collection", "page_size", "page_token", "topic", "story_id", "submitted_from", "submitted_before", "view")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    STORY_ID_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_FROM_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    collection: str
    page_size: int
    page_token: str
    topic: str
    story_id: str
    submitted_from: _timestamp_pb2.Timestamp
    submitted_before: _timestamp_pb2.Timestamp
    view: _article_pb2.ArticleView
    def __init__(self, collection: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., topic: _Optional[str] = ..., story_id: _Optional[str] = ..., submitted_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., submitted_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., view: _Optional[_Union[_article_pb2.ArticleView, str]] = ...) -> None: ...

class ListArticlesResponse(_message.Message):
    __slots__ = ("articles", "next_page_token")
    ARTICLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    articles: _containers.RepeatedCompositeFieldContainer[_article_pb2.StoredArticle]
    next_page_token: str
    def __init__(self, articles: _Optional[_Iterable[_Union[_article_pb2.StoredArticle, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteArticleRequest(_message.Message):
    __slots__ = ("collection", "article_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_ID_FIELD_NUMBER: _ClassVar[int]
    collection: str
    article_id: str
    def __init__(self, collection: _Optional[str] = ..., article_id: _Optional[str] = ...) -> None: ...

class DeleteArticleResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStoryRequest(_message.Message):
    __slots__ = ("collection", "story_id", "page_size", "page_token", "view")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    STORY_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    collection: str
    story_id: str
    page_size: int
    page_token: str
    view: _article_pb2.ArticleView
    def __init__(self, collection: _Optional[str] = ..., story_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., view: _Optional[_Union[_article_pb2.ArticleView, str]] = ...) -> None: ...

class GetStoryResponse(_message.Message):
    __slots__ = ("canonical", "members", "next_page_token")
    CANONICAL_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    canonical: _article_pb2.StoredArticle
    members: _containers.RepeatedCompositeFieldContainer[_article_pb2.StoredArticle]
    next_page_token: str
    def __init__(self, canonical: _Optional[_Union[_article_pb2.StoredArticle, _Mapping]] = ..., members: _Optional[_Iterable[_Union[_article_pb2.StoredArticle, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FindSimilarRequest(_message.Message):
    __slots__ = ("collection", "article_id", "simhash", "max_hamming_distance", "max_matches")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_ID_FIELD_NUMBER: _ClassVar[int]
    SIMHASH_FIELD_NUMBER: _ClassVar[int]
    MAX_HAMMING_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    MAX_MATCHES_FIELD_NUMBER: _ClassVar[int]
    collection: str
    article_id: str
    simhash: int
    max_hamming_distance: int
    max_matches: int
    def __init__(self, collection: _Optional[str] = ..., article_id: _Optional[str] = ..., simhash: _Optional[int] = ..., max_hamming_distance: _Optional[int] = ..., max_matches: _Optional[int] = ...) -> None: ...

class FindSimilarResponse(_message.Message):
    __slots__ = ("matches", "truncated")
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    matches: _containers.RepeatedCompositeFieldContainer[_article_pb2.Match]
    truncated: bool
    def __init__(self, matches: _Optional[_Iterable[_Union[_article_pb2.Match, _Mapping]]] = ..., truncated: bool = ...) -> None: ...
