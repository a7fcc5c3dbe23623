"""What surrounds a call: connection, deadline, status, drain."""
