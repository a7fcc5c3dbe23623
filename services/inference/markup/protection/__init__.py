"""What stays as it is: placeholders, phrases, terms."""
