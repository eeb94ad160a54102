"""How a channel is set up, whether it is used with threads or with asyncio."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import grpc

DEFAULT_ADDRESS = "localhost:50051"

#: Seconds a call may take unless it is told otherwise.
DEFAULT_TIMEOUT = 30.0

#: Articles of a stream that are sent and not yet answered, at most.
DEFAULT_WINDOW = 64

_ANSWER_BYTES_MAX = 64 << 20
_REQUEST_BYTES_MAX = 8 << 20


@dataclass(frozen=True)
class Tls:
    """How to talk TLS. Everything is PEM, and may be left out.

    `Tls()` trusts the authorities the gRPC library trusts; `root_certificates` are trusted
    instead of those. A certificate of our own, with its key, is for servers that ask for one.
    """

    root_certificates: bytes | None = None
    private_key: bytes | None = None
    certificate_chain: bytes | None = None


def options(extra: dict[str, Any] | None) -> list[tuple[str, Any]]:
    """Options of a channel: ours, and what the caller gives instead of or beside them."""
    ours = {
        "grpc.service_config": files("newsprint").joinpath("service_config.json").read_text(),
        "grpc.max_receive_message_length": _ANSWER_BYTES_MAX,
        # What is larger would not be sent again.
        "grpc.per_rpc_retry_buffer_size": _REQUEST_BYTES_MAX,
    }
    return list((ours | (extra or {})).items())


def credentials(tls: Tls | None, token: str | None) -> grpc.ChannelCredentials | None:
    """None stands for a connection without TLS."""
    if tls is None:
        if token is not None:
            raise ValueError("a token is sent over TLS only: give tls=Tls(…) too")
        return None
    channel = grpc.ssl_channel_credentials(
        tls.root_certificates, tls.private_key, tls.certificate_chain
    )
    if token is None:
        return channel
    return grpc.composite_channel_credentials(channel, grpc.access_token_call_credentials(token))
