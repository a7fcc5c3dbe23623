"""Where Triton has put an instance."""


def device_of(args: dict[str, str]) -> int | None:
    """The GPU of an instance, None on the processor.

    Triton sets no device for a Python model: it tells which one the instance was given
    (triton-inference-server/server#6124).
    """
    if args["model_instance_kind"] != "GPU":
        return None
    return int(args["model_instance_device_id"])
