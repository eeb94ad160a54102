"""Two replicas behind real proxies: mesh.py PROGRAM PROXIES ENVOY, which scripts/mesh calls.

Starts nginx, HAProxy and Envoy as docs/mesh has them set up, with other addresses and files, calls
through each what there is to call, and replaces both replicas under load: with the retry policy of
docs/mesh/service_config.json no call fails. Once in the clear between proxy and replicas, once over
TLS and with a token. Prints a line for each check, and the counts at the end.
"""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
from google.rpc import error_details_pb2, status_pb2
from newsprint.v1 import article_pb2, article_service_pb2, article_service_pb2_grpc

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs" / "mesh"
SERVICE_CONFIG = (DOCS / "service_config.json").read_text()
CLIENTS_CONFIG = (ROOT / "clients" / "python" / "newsprint" / "service_config.json").read_text()

# How long the replicas are loaded around each replacement, and by how many at the same time.
LOAD_THREADS = 6
PATIENCE_SECONDS = 30

passed = failed = 0


def check(name: str, test: Callable[[], str | None]) -> None:
    global passed, failed
    began = time.monotonic()
    try:
        said = test()
    except Exception:
        failed += 1
        print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
    else:
        passed += 1
        print(f"ok    {name}, {time.monotonic() - began:.1f} s {said or ''}", flush=True)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def wait_for(what: str, is_so: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise TimeoutError(what)
        time.sleep(0.05)


def stop(process: subprocess.Popen) -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def make_certificates(folder: Path) -> None:
    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]
    openssl(*key, "ca.key")
    openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=an authority", "-days", "1",
            "-out", "ca.crt")  # fmt: skip
    openssl(*key, "server.key")
    openssl("req", "-new", "-key", "server.key", "-subj", "/CN=server", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "1", "-extfile", "names", "-out", "server.crt")  # fmt: skip
    joined = (folder / "server.crt").read_text() + (folder / "server.key").read_text()
    (folder / "server.pem").write_text(joined)


class Replica:
    """A server on addresses that it keeps when it is replaced."""

    def __init__(self, program: str, folder: Path, name: str, flags: list[str]) -> None:
        self.port, self.http_port = free_port(), free_port()
        self._log = folder / f"{name}.log"
        self._command = [
            program, "serve", "--listen", f"127.0.0.1:{self.port}",
            "--http", f"127.0.0.1:{self.http_port}", "--data", str(folder / name),
            "--drain-delay-seconds", "1", "--log-format", "json", *flags,
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        wait_for(f"{self._log} does not say that it serves", self.is_healthy)

    def is_healthy(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(self._log.read_text())
        try:
            url = f"http://127.0.0.1:{self.http_port}/healthz"
            return urllib.request.urlopen(url, timeout=1).status == 200
        except OSError:
            return False

    def stop(self) -> None:
        code = stop(self._process)
        if code != 0:
            raise RuntimeError(f"exit code {code}: {self._log.read_text()}")

    def replace(self) -> None:
        self.stop()
        self.start()

    def log(self) -> str:
        return self._log.read_text()


def set_up(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        if old not in text:
            raise ValueError(f"the configuration has no {old!r}")
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def proxy(
    name: str, proxies: Path, envoy: Path, folder: Path, replicas: list[Replica], is_tls: bool
) -> Iterator[str]:
    """Starts a proxy as docs/mesh has it; gives its address."""
    port = free_port()
    changes = {
        "/etc/newsprint/": f"{folder}/",
        "127.0.0.1:50061": f"127.0.0.1:{replicas[0].port}",
        "127.0.0.1:50062": f"127.0.0.1:{replicas[1].port}",
    }
    if name == "nginx":
        changes["127.0.0.1:50443"] = f"127.0.0.1:{port}"
        if is_tls:
            changes["grpc_pass grpc://"] = "grpc_pass grpcs://"
        config = folder / "nginx.conf"
        config.write_text(set_up((DOCS / "nginx.conf").read_text(), changes))
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        )
        text = config.read_text().replace("http {", f"http {{ {temporary}", 1)
        config.write_text(text)
        command = [
            str(proxies / "usr/sbin/nginx"), "-c", str(config), "-p", str(folder),
            "-e", str(folder / "nginx.log"),
            "-g", f"daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;",
        ]  # fmt: skip
    elif name == "envoy":
        del changes["127.0.0.1:50061"], changes["127.0.0.1:50062"]
        changes["port_value: 50445"] = f"port_value: {port}"
        changes["port_value: 50061"] = f"port_value: {replicas[0].port}"
        changes["port_value: 50062"] = f"port_value: {replicas[1].port}"
        config = folder / "envoy.yaml"
        text = set_up((DOCS / "envoy.yaml").read_text(), changes)
        if is_tls:
            # The lines that say so, without their '#'.
            above, mark, below = text.partition("      # transport_socket:\n")
            lines, rest = (mark + below).split("      load_assignment:", 1)
            text = above + lines.replace("      # ", "      ") + "      load_assignment:" + rest
        config.write_text(text)
        command = [
            str(envoy), "-c", str(config), "--concurrency", "1", "--use-dynamic-base-id",
            "--disable-hot-restart", "--log-level", "warning",
        ]  # fmt: skip
    else:
        changes["127.0.0.1:50444"] = f"127.0.0.1:{port}"
        changes["port 9461"] = f"port {replicas[0].http_port}"
        changes["port 9462"] = f"port {replicas[1].http_port}"
        if is_tls:
            upstream = f"ssl verify required ca-file {folder}/ca.crt alpn h2 no-check-ssl"
            changes["default-server proto h2"] = f"default-server {upstream}"
        config = folder / "haproxy.cfg"
        config.write_text(set_up((DOCS / "haproxy.cfg").read_text(), changes))
        command = [str(proxies / "usr/sbin/haproxy"), "-db", "-f", str(config)]
    libraries = ":".join(str(path) for path in sorted((proxies / "usr/lib").glob("*-linux-gnu")))
    with (folder / f"{name}.out").open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=os.environ | {"LD_LIBRARY_PATH": libraries}
        )

    def is_up() -> bool:
        if process.poll() is not None:
            raise RuntimeError((folder / f"{name}.out").read_text())
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    try:
        wait_for(f"{name} does not listen", is_up)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def article(name: str) -> article_pb2.Article:
    return article_pb2.Article(
        article_id=name,
        title=f"Ferry {name} returns to Skarn harbour",
        body=f"The ferry {name} was expected in Skarn on Friday after repairs that took a month.",
    )


class Calls:
    """Every kind of call over one channel."""

    def __init__(self, address: str, folder: Path, token: str | None, is_tls: bool = True) -> None:
        options = [
            ("grpc.service_config", SERVICE_CONFIG),
            ("grpc.per_rpc_retry_buffer_size", 8 << 20),
            # A list of addresses is no authority that a server could take.
            ("grpc.default_authority", "localhost"),
        ]
        if is_tls:
            roots = (folder / "ca.crt").read_bytes()
            credentials = grpc.ssl_channel_credentials(root_certificates=roots)
            options.append(("grpc.ssl_target_name_override", "localhost"))
            self.channel = grpc.secure_channel(address, credentials, options)
        else:
            self.channel = grpc.insecure_channel(address, options)
        self._stub = article_service_pb2_grpc.ArticleServiceStub(self.channel)
        self.metadata = [("authorization", f"Bearer {token}")] if token else []

    def unary(self, name: str, **arguments) -> article_service_pb2.SubmitArticleResponse:
        request = article_service_pb2.SubmitArticleRequest(article=article(name))
        metadata = [*self.metadata, *arguments.pop("metadata", [])]
        answer = self._stub.SubmitArticle(request, timeout=20, metadata=metadata, **arguments)
        assert answer.article_id == name, answer
        return answer

    def batch(self, names: list[str]) -> None:
        request = article_service_pb2.BatchSubmitArticlesRequest(
            articles=[article(name) for name in names]
        )
        answer = self._stub.BatchSubmitArticles(request, timeout=20, metadata=self.metadata)
        assert [result.outcome.article_id for result in answer.results] == names, answer

    def stream(self, names: list[str], pause: float = 0.0) -> list[str]:
        """The names that were answered, until the stream ends well or because of a drain."""

        def requests() -> Iterator[article_service_pb2.SubmitArticleStreamRequest]:
            for name in names:
                yield article_service_pb2.SubmitArticleStreamRequest(article=article(name))
                time.sleep(pause)

        answered = []
        try:
            for answer in self._stub.SubmitArticleStream(
                requests(), timeout=60, metadata=self.metadata
            ):
                assert answer.HasField("outcome"), answer
                answered.append(answer.article_id)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
        assert answered == names[: len(answered)], answered
        return answered

    def error(self) -> None:
        """A refusal comes through whole."""
        try:
            request = article_service_pb2.SubmitArticleRequest(article=article_pb2.Article())
            self._stub.SubmitArticle(
                request, timeout=20, metadata=[*self.metadata, ("x-request-id", "mesh-4711")]
            )
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
            trailers = dict(error.trailing_metadata())
            status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
            reasons, ids = [], []
            for detail in status.details:
                info, request_info = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
                if detail.Unpack(info):
                    reasons.append(info.reason)
                if detail.Unpack(request_info):
                    ids.append(request_info.request_id)
            assert reasons == ["INVALID_FIELDS"] and ids == ["mesh-4711"], status
        else:
            raise AssertionError("an empty article was taken")


def replace_under_load(calls: Callable[[], Calls], replicas: list[Replica]) -> str:
    is_over = threading.Event()
    failures: list[BaseException] = []
    counts = [0] * LOAD_THREADS
    reopened = 0

    def load(thread: int) -> None:
        nonlocal reopened
        mine = calls()
        while not is_over.is_set() and not failures:
            number = counts[thread]
            names = [f"load-{thread}-{number}-{part}" for part in range(10)]
            try:
                match thread % 3:
                    case 0:
                        mine.unary(names[0])
                    case 1:
                        mine.batch(names)
                    case _:
                        # A stream that a drain has ended is begun again with what was not answered.
                        answered = mine.stream(names, pause=0.02)
                        while len(answered) < len(names):
                            reopened += 1
                            time.sleep(0.1)
                            answered += mine.stream(names[len(answered) :], pause=0.02)
            except BaseException as error:
                failures.append(error)
            counts[thread] += 1

    threads = [threading.Thread(target=load, args=(number,)) for number in range(LOAD_THREADS)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        for replica in replicas:
            replica.replace()
            # A proxy that goes by failures needs one to hear that it is back.
            time.sleep(1.5)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    assert min(counts) > 0, counts
    return f"({sum(counts)} calls, none failed; {reopened} streams begun again)"


def named_by_proxy(calls: Calls, replicas: list[Replica]) -> str | None:
    """A request that has no id gets one from the proxy, and the answer tells it."""
    _, call = calls._stub.SubmitArticle.with_call(
        article_service_pb2.SubmitArticleRequest(article=article("named")),
        timeout=20,
        metadata=[*calls.metadata, ("x-request-id", "mesh-named")],
    )
    assert dict(call.initial_metadata())["x-request-id"] == "mesh-named"
    _, call = calls._stub.SubmitArticle.with_call(
        article_service_pb2.SubmitArticleRequest(article=article("unnamed")),
        timeout=20,
        metadata=calls.metadata,
    )
    return f"({dict(call.initial_metadata())['x-request-id']})"


def test_channel(name: str, calls: Callable[[], Calls], replicas: list[Replica]) -> None:
    one = calls()
    check(f"{name}: unary", lambda: one.unary("unary") and None)
    check(f"{name}: batch", lambda: one.batch([f"batch-{number}" for number in range(100)]))

    def stream() -> None:
        names = [f"stream-{number}" for number in range(200)]
        assert one.stream(names) == names

    check(f"{name}: stream", stream)
    check(f"{name}: an error with its details", one.error)
    check(f"{name}: requests have an id", lambda: named_by_proxy(one, replicas))
    check(
        f"{name}: both replicas are replaced under load",
        lambda: replace_under_load(calls, replicas),
    )


def main(program: str, proxies: Path, envoy: Path) -> None:
    def same_policy() -> None:
        theirs = json.loads(CLIENTS_CONFIG)["methodConfig"]
        assert json.loads(SERVICE_CONFIG)["methodConfig"] == theirs

    check("the retry policy of docs/mesh is the clients'", same_policy)
    for is_tls in [False, True]:
        with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
            folder = Path(temporary)
            make_certificates(folder)
            flags, token = [], None
            if is_tls:
                token = subprocess.run(
                    [program, "token", "create", "--name", "mesh", "--role", "write",
                     "--append", str(folder / "tokens.toml")],
                    check=True, capture_output=True, text=True,
                ).stdout.strip()  # fmt: skip
                flags = [
                    "--tls-cert", str(folder / "server.crt"),
                    "--tls-key", str(folder / "server.key"),
                    "--tokens", str(folder / "tokens.toml"),
                ]  # fmt: skip
            replicas = []
            for name in ["one", "two"]:
                replicas.append(Replica(program, folder, name, flags))
                stack.callback(replicas[-1].stop)
            between = "TLS and a token" if is_tls else "h2c"
            for name in ["nginx", "haproxy", "envoy"]:
                with proxy(name, proxies, envoy, folder, replicas, is_tls) as address:
                    test_channel(
                        f"{name}, {between}",
                        lambda address=address: Calls(address, folder, token),
                        replicas,
                    )
            # No proxy at all: the client balances, as the service config says.
            addresses = ",".join(f"127.0.0.1:{replica.port}" for replica in replicas)
            test_channel(
                f"the client balances, {between}",
                lambda: Calls(f"ipv4:{addresses}", folder, token, is_tls),
                replicas,
            )
            if is_tls:
                texts = [replica.log() for replica in replicas]
                check(
                    "no token is in a log",
                    lambda: None if not any(token in text for text in texts) else 1 / 0,
                )
    print(f"\n{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
