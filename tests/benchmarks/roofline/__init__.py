"""What the processor can do at most, measured on the spot, and the share that a step reaches."""
