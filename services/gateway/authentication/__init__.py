"""Who calls: API keys, tokens of an OpenID provider, and what they may do."""
