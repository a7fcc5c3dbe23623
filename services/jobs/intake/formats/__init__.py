"""The formats of inputs."""
