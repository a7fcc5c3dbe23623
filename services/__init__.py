"""What runs outside Triton: the gRPC gateway, inference over Triton, offline batches."""
