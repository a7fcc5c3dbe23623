"""What the commands print: answers, notes, failures and JSON."""
