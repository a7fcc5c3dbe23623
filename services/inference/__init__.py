"""Text in, text out: segmentation, choice of a variant, the conversation with Triton."""
