"""From FP32 graphs to FP16, BF16 and INT8."""
