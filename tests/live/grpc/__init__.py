"""The gRPC service of the live tests: `probe.proto`, and the modules that `python -m tests.live.grpc` makes from it."""
