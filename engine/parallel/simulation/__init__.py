"""The whole service, simulated: gateways, pods with groups of devices, Redis and the store."""
