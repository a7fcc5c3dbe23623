"""Between the public messages and the types of `services.inference`, a file for each service."""
