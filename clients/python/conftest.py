"""What the tests share: a channel to the server at NEWSPRINT_ADDR and a collection of their own."""

import os
import uuid
from collections.abc import Iterator

import grpc
import pytest
from newsprint.v1 import admin_service_pb2, admin_service_pb2_grpc, article_service_pb2_grpc


@pytest.fixture(scope="session")
def address() -> str:
    return os.environ.get("NEWSPRINT_ADDR", "127.0.0.1:50051")


@pytest.fixture(scope="session")
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=10)
        except grpc.FutureTimeoutError:
            pytest.exit(f"no server answers at {address}", returncode=1)
        yield channel


@pytest.fixture(scope="session")
def articles(channel: grpc.Channel) -> article_service_pb2_grpc.ArticleServiceStub:
    return article_service_pb2_grpc.ArticleServiceStub(channel)


@pytest.fixture(scope="session")
def admin(channel: grpc.Channel) -> admin_service_pb2_grpc.AdminServiceStub:
    return admin_service_pb2_grpc.AdminServiceStub(channel)


@pytest.fixture
def collection(admin: admin_service_pb2_grpc.AdminServiceStub) -> Iterator[str]:
    name = f"python-{uuid.uuid4()}"
    yield name
    try:
        admin.DeleteCollection(
            admin_service_pb2.DeleteCollectionRequest(collection=name), timeout=10
        )
    except grpc.RpcError as error:
        # A test that remembered nothing has made no collection.
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
