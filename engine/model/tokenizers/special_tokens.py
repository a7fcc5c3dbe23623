"""What a tokenizer's files say of single tokens: their ids, their roles, who may spell them.

A text never becomes a token that has a role (end of sequence, padding, a language's code) or that
the family brings along (T5's sentinels). What the checkpoint's author has added to it is there to
be written into texts, also where it is marked as special.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from engine.model.errors import CheckpointError

LANGUAGE_CODE = re.compile(
    r"[a-z]{2,3}_([A-Z]{2}|[A-Z][a-z]{3})|__[a-z]{2,3}__|>>\S+<<|<2[A-Za-z_]+>"
)
"""Of NLLB and mBART, of M2M100, of Marian, and of MADLAD-400."""

_FAMILYS_OWN = re.compile(r"<extra_id_\d+>|<mask_\d+>|<unk_\d+>|madeupword\d+|.*NOTUSED|<eo[pd]>")
_ROLES = {
    *("<s>", "</s>", "<unk>", "<pad>", "<mask>", "<cls>", "<sep>", "<bos>", "<eos>"),
    *("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "[BOS]", "[EOS]"),
}


class StatedTokens:
    """What `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` say."""

    def __init__(self, folder: Path) -> None:
        self.config = read_object(folder / "tokenizer_config.json")
        named = read_object(folder / "special_tokens_map.json") | self.config
        self._roles = {
            key: text
            for key, value in named.items()
            if key.endswith("_token") and (text := _content(value))
        }
        added = _stated_ids(self.config, read_object(folder / "added_tokens.json"))
        # Classes number the family's own as they like: no text becomes one of these.
        self.added = {
            index: token
            for index, token in added.items()
            if not _FAMILYS_OWN.fullmatch(token.content)
        }

    def role(self, name: str, default: str) -> str:
        """The token of a role, such as "eos_token"."""
        return self._roles.get(name, default)

    @property
    def roles(self) -> set[str]:
        """Tokens that have a role here, whatever other checkpoints call theirs."""
        return {*self._roles.values(), *_ROLES}

    def is_no_text(self, token: str) -> bool:
        """Whether a token has a role, or is one of the family's own."""
        return token in self.roles or _FAMILYS_OWN.fullmatch(token) is not None

    def may_be_spelled(self, token: str) -> bool:
        """Whether a special token is one that the author means to be written into texts."""
        return not self.is_no_text(token) and not LANGUAGE_CODE.fullmatch(token)


def add_stated(
    backend: Tokenizer, stated: StatedTokens, where: Path, *, normalized: bool | None = None
) -> None:
    """Adds the tokens that only other files than that of the vocabulary name, at their ids.

    They are sought in normalized texts where they say so, or as `normalized` does.

    Raises:
        CheckpointError: the tokenizer would give one another id.

    """
    numbers = backend.get_vocab(with_added_tokens=True)
    for index, token in sorted(stated.added.items()):
        if token.content in numbers:
            continue
        backend.add_tokens([token if normalized is None else _with(token, normalized)])
        if (found := backend.token_to_id(token.content)) != index:
            raise CheckpointError(
                f"{where}: the added token {token.content!r} has the id {index} and would get "
                f"{found}: save the tokenizer with all its tokens as a tokenizer.json."
            )


def _with(token: AddedToken, normalized: bool) -> AddedToken:
    return AddedToken(
        token.content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=normalized,
        special=token.special,
    )


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _content(value: Any) -> str:
    """The text of a token, which may be an object with its attributes."""
    text = value.get("content") if isinstance(value, Mapping) else value
    return text if isinstance(text, str) else ""


def _stated_ids(config: Mapping[str, Any], added: Mapping[str, Any]) -> dict[int, AddedToken]:
    found: dict[int, AddedToken] = {}
    lists = [config.get(f"{kind}_special_tokens") for kind in ("additional", "extra")]
    special = {_content(one) for some in lists if isinstance(some, list) for one in some}
    for text, index in added.items():
        if isinstance(index, int) and text:
            known = text in special
            found[index] = AddedToken(text, normalized=not known, special=known)
    decoder = config.get("added_tokens_decoder")
    for index, one in (decoder if isinstance(decoder, Mapping) else {}).items():
        if str(index).isdecimal() and (text := _content(one)):
            flags = one if isinstance(one, Mapping) else {}
            found[int(index)] = AddedToken(
                text,
                **{
                    name: flags[name]
                    for name in ("single_word", "lstrip", "rstrip", "normalized", "special")
                    if isinstance(flags.get(name), bool)
                },
            )
    return found
