"""From a checkpoint to a folder of the model repository: graphs, quantization, configuration."""
