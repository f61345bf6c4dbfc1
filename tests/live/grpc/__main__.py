"""Writes `probe_pb2.py` and `probe_pb2_grpc.py` from `probe.proto` (needs grpcio-tools)."""

import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[3]
PROTO = "tests/live/grpc/probe.proto"

if __name__ == "__main__":
    sys.exit(
        protoc.main(["protoc", f"-I{ROOT}", f"--python_out={ROOT}", f"--grpc_python_out={ROOT}", str(ROOT / PROTO)])
    )
