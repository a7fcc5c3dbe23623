"""Jobs from creation to their end."""
