"""The adapter to NVIDIA Triton, over its generated gRPC stubs."""
