"""Asks whether what the lock files pin has known vulnerabilities: `make audit`."""
