"""What is wrong with what was asked of the planner."""


class CapacityError(ValueError):
    """A plan that was asked for is impossible; the message says why, and what would be possible."""
