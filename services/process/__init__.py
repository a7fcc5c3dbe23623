"""What every process of the services has: settings and certificates."""
