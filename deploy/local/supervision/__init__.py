"""Who watches over a stack, and the state that it finds it in."""
