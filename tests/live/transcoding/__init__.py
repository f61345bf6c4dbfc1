"""A real gRPC server with the API of tests/middleware/transcode/orders.proto (`server`), and Envoy in front of it (`envoy`)."""
