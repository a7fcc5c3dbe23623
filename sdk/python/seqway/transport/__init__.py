"""The surroundings of a call in both clients: address, security, traces, retries, failures."""
