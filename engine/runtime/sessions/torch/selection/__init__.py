"""How PyTorch's session chooses among the best tokens of a step, and tells the host of them."""
