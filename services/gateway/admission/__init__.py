"""Which calls are admitted: quotas, tenants, load."""
