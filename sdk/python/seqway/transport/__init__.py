"""What surrounds a call in both clients: address, security, traces, retries and failures."""
