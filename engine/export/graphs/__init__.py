"""The ONNX graphs of the models."""
