"""What the tests share: a channel to the server at NEWSPRINT_ADDR and a collection of their own."""

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import newsprint
import pytest
from newsprint.v1 import admin_service_pb2, admin_service_pb2_grpc, article_service_pb2_grpc

CLIENTS = Path(__file__).resolve().parents[2]
sys.path.append(str(CLIENTS / "python" / "examples"))


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


@pytest.fixture(scope="session")
def client(address: str) -> Iterator[newsprint.Client]:
    with newsprint.Client(address) as client:
        yield client


class Gateway:
    """The gateway of clients/gateway, which wants certificates and a token."""

    address = os.environ.get("NEWSPRINT_GATEWAY_ADDR", "")
    folder = Path(os.environ.get("NEWSPRINT_GATEWAY_CERTS", ""))
    token = "a-token"

    def tls(self) -> newsprint.Tls:
        return newsprint.Tls(
            root_certificates=(self.folder / "ca.crt").read_bytes(),
            private_key=(self.folder / "client.key").read_bytes(),
            certificate_chain=(self.folder / "client.crt").read_bytes(),
        )


@pytest.fixture(scope="session")
def gateway() -> Gateway:
    assert Gateway.address, "NEWSPRINT_GATEWAY_ADDR tells where it listens; see scripts/e2e"
    return Gateway()
