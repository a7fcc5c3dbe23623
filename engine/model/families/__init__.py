"""One file per checkpoint family: how its Hugging Face format maps onto `engine.model`."""
