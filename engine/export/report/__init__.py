"""What a variant gains and loses, measured and shown."""
