"""A gateway as a mesh might put before newsprint, for testing clients: gateway.py UPSTREAM FOLDER.

It talks mutual TLS, wants the bearer token "a-token", and passes calls on to the plain server at
UPSTREAM. It fails attempts for a call that asks for it by `x-fail: UNAVAILABLE 2`: the first two,
told from others by the header that gRPC sends with every retry. Certificates are in FOLDER, where
scripts/e2e makes them. Prints the address it listens on.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio

TOKEN = "Bearer a-token"


class Gateway(grpc.GenericRpcHandler):
    def __init__(self, upstream: grpc.aio.Channel) -> None:
        self._upstream = upstream

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        # On the wire a unary call is a stream of one message: all methods are passed on alike.
        call_upstream = self._upstream.stream_stream(details.method)
        metadata = dict(details.invocation_metadata)

        async def forward(
            requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext
        ) -> AsyncIterator[bytes]:
            if metadata.get("authorization") != TOKEN:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such token")
            if "x-fail" in metadata:
                code, attempts = metadata["x-fail"].split()
                if int(metadata.get("grpc-previous-rpc-attempts", 0)) < int(attempts):
                    await context.abort(grpc.StatusCode[code], "failed as it was asked to")
            call = call_upstream(requests, timeout=context.time_remaining())
            try:
                await context.send_initial_metadata(await call.initial_metadata())
                async for answer in call:
                    yield answer
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details(), tuple(error.trailing_metadata()))

        return grpc.stream_stream_rpc_method_handler(forward)


async def main(upstream: str, folder: Path) -> None:
    async with grpc.aio.insecure_channel(
        upstream, [("grpc.max_receive_message_length", 64 << 20)]
    ) as channel:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 << 20)])
        server.add_generic_rpc_handlers([Gateway(channel)])
        credentials = grpc.ssl_server_credentials(
            [((folder / "server.key").read_bytes(), (folder / "server.crt").read_bytes())],
            root_certificates=(folder / "ca.crt").read_bytes(),
            require_client_auth=True,
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        print(f"localhost:{port}", flush=True)
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
