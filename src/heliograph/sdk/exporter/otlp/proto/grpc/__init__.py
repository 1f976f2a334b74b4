"""OTLP over gRPC, without grpcio and protobuf."""
