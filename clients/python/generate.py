"""Makes the Python modules of the contract and puts them into the virtual environment.

Afterwards `from newsprint.v1 import article_pb2` works in every program that runs in it.
"""

import sys
import sysconfig
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"


def main() -> int:
    if sys.prefix == sys.base_prefix:
        print("this must run in a virtual environment; see clients/README.md", file=sys.stderr)
        return 1
    out = sysconfig.get_path("purelib")
    return protoc.main(
        [
            "protoc",
            f"--proto_path={PROTO}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--python_out={out}",
            f"--pyi_out={out}",
            f"--grpc_python_out={out}",
            *sorted(str(path) for path in PROTO.rglob("*.proto")),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
