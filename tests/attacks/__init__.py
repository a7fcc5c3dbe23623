"""What strangers try, against the real gateway in front of the real Triton."""
