"""What a model needs and how fast devices run it: memory, roofline times, the best layout."""
