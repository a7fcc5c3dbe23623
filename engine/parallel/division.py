"""Which models ranks can share; importable anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.model.config import ModelConfig
from engine.native.layout import padded


@dataclass(frozen=True)
class DividedSizes:
    """What of an encoder-decoder `tp` ranks divide, or can't.

    Units of feed-forward blocks are counted as they are stored, padded to a multiple of 16.
    `source_vocabulary` is 0 where sources have the tokens of answers.
    """

    encoder_heads: int
    decoder_heads: int
    encoder_hidden: int
    decoder_hidden: int
    vocabulary: int
    source_vocabulary: int
    recurrent: bool
    shortlist: bool

    @classmethod
    def of(cls, config: ModelConfig, *, shortlist: bool = False) -> "DividedSizes":
        """Those of a configuration, of a model with a lexical `shortlist` or without."""
        return cls(
            encoder_heads=config.encoder_heads,
            decoder_heads=config.decoder_heads,
            encoder_hidden=padded(config.encoder_ffn),
            decoder_hidden=padded(config.decoder_ffn),
            vocabulary=config.vocab_size,
            source_vocabulary=config.source_vocab_size,
            recurrent=config.is_recurrent,
            shortlist=shortlist,
        )

    @classmethod
    def stored(cls, model: Mapping[str, Any]) -> "DividedSizes":
        """Those that a variant's `model.json` tells."""
        return cls(
            encoder_heads=model["encoder_heads"],
            decoder_heads=model["decoder_heads"],
            encoder_hidden=model["encoder_hidden"],
            decoder_hidden=model["decoder_hidden"],
            vocabulary=model["vocabulary"],
            source_vocabulary=model["source_vocabulary"],
            recurrent=bool(model["recurrent"]),
            shortlist=bool(model["shortlist"]),
        )

    def problem(self, ranks: int) -> str:
        """Why so many ranks can't share the weights, without a full stop; "" where they can.

        Sources can be divided in any number of parts.
        """
        if ranks == 1:
            return ""
        for name, is_there in (
            ("recurrent units", self.recurrent),
            ("a lexical shortlist", self.shortlist),
        ):
            if is_there:
                return (
                    f"tp is {ranks}, and a model with {name} has to be whole on each rank: "
                    "set tp to 1"
                )
        for name, size in (
            ("heads of the encoder", self.encoder_heads),
            ("heads of the decoder", self.decoder_heads),
            ("units of the encoder's feed-forward blocks", self.encoder_hidden),
            ("units of the decoder's feed-forward blocks", self.decoder_hidden),
        ):
            if size % ranks:
                return (
                    f"tp is {ranks}, which does not divide the {size} {name}: set tp to a number "
                    "that does"
                )
        for name, size in (
            ("vocabulary", self.vocabulary),
            ("source vocabulary", self.source_vocabulary),
        ):
            if 0 < size < ranks:
                return f"tp is {ranks}, and the {name} has only {size} tokens: set tp to no more"
        return ""
