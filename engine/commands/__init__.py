"""The commands of `seqway-models` that are more than a few lines, one file each."""
