"""What token comes next: policy only, on rows of logits and the tokens so far; docs/decoding.md."""
