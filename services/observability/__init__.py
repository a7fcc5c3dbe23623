"""What a process tells of itself: logs and traces, set up once at each entry."""
