"""The mixed-precision trainer and its evaluation."""
