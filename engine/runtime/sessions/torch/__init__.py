"""A session of PyTorch, for CUDA; it runs on the processor too, where it is tested.

Nothing else in `engine.runtime` imports torch, which Triton's Python has on a GPU alone.
"""
