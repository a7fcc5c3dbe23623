"""TensorRT's sessions, for NVIDIA GPUs."""
