"""One file per kind of tokenizer that a checkpoint may bring."""
