"""The Celery workers: thin tasks over `services.jobs`."""
