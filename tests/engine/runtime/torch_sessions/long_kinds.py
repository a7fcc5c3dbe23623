"""Small models whose encoders attend to what lies near by: windows and blocks of a few tokens."""

from dataclasses import replace
from types import MappingProxyType

from tests.engine.native.models import KINDS, Kind

_T5, _GATED = KINDS["t5"], KINDS["flan_t5"]

LONG_KINDS = MappingProxyType(
    {
        "longt5_local": Kind(replace(_T5.config, encoder_attention="local", local_radius=3)),
        "longt5_global": Kind(
            replace(
                _GATED.config,
                **{"encoder_attention": "transient_global", "local_radius": 2, "global_block": 4},
            ),
            _GATED.suppressed_ids,
        ),
    }
)
