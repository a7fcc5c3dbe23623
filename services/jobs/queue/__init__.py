"""Redis: the board of chunks, and the messages that wake workers."""
