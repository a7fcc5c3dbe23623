"""The messages of `seqway.v1.ModelService`."""

from seqway.v1 import model_pb2

from services.inference.models.catalogue import Variant


def model_message(variant: Variant) -> model_pb2.Model:
    """The public description of a variant."""
    manifest = variant.manifest
    return model_pb2.Model(
        name=manifest.name,
        base_model=manifest.base_model,
        task=manifest.task,
        language_pairs=[
            model_pb2.LanguagePair(source_language_code=source, target_language_code=target)
            for source, target in manifest.language_pairs
        ],
        precision=manifest.precision,
        limits=model_pb2.ModelLimits(
            max_source_tokens=manifest.max_source_tokens,
            max_target_tokens=manifest.max_target_tokens,
        ),
        family=manifest.family,
        checkpoint_sha256=manifest.checkpoint_sha256,
        quality=manifest.quality,
        ready=variant.ready,
        source_language_codes=manifest.source_languages,
        target_language_codes=manifest.target_languages,
        labels=manifest.labels,
        multi_label=manifest.multi_label,
        generation_defaults=manifest.generation_defaults,
    )
