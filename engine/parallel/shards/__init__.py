"""A model whose weights, and whose sources, are split over the ranks of a group."""
