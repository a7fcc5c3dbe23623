"""What the user of the stack can run into."""


class StackError(Exception):
    """The stack can't do what was asked; the message is one sentence that says what to do."""
