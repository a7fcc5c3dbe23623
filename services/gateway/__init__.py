"""The gRPC front door: servicers that validate, convert and call `services.inference`."""
