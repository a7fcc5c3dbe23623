"""Small random checkpoints of every encoder-decoder family, as `transformers` writes them.

`FAMILIES[name](folder, seed)` writes weights, configurations and a tokenizer that knows some
English and French. Weights, norms and biases are far from their usual start, so that forgetting
one shows, and so that the best token is seldom the same twice.
"""

import io
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import sentencepiece
import tokenizers
import torch
import transformers
from tokenizers import trainers
from transformers import PreTrainedModel
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES as NLLB_CODES

DATA = Path(__file__).parents[3] / "examples" / "data" / "en-fr.test.jsonl"
PIECES = 300
LENGTH = 40
"""Tokens of the longest generation."""

SIZES: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 128,
}
T5_SIZES: dict[str, Any] = {
    "d_model": 32,
    "d_ff": 48,
    "d_kv": 12,
    "num_heads": 4,
    "num_layers": 3,
    "num_decoder_layers": 2,  # more than `num_layers` crash generate's cache
    "relative_attention_num_buckets": 16,
    "relative_attention_max_distance": 24,
}


def sentences() -> list[str]:
    """Sentences of both languages."""
    lines = DATA.read_text(encoding="utf-8").splitlines()[:300]
    return [json.loads(line)[side] for line in lines for side in ("source", "target")]


@cache
def _unigrams(part: int = 0, pieces: int = PIECES, **specials: int) -> bytes:
    """A SentencePiece model over `sentences`, with the ids of its special pieces.

    `part` 1 and 2 are the English and the French ones only.
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()[part - 1 :: 2] if part else sentences()),
        model_writer=model,
        vocab_size=pieces,
        minloglevel=2,
        **cast(Any, specials),
    )
    return model.getvalue()


def _pieces(**specials: int) -> list[tuple[str, float]]:
    model = sentencepiece.SentencePieceProcessor(model_proto=_unigrams(**specials))
    return [(model.id_to_piece(i), model.get_score(i)) for i in range(len(model))]


def _save(
    folder: Path, model: PreTrainedModel, seed: int, tokenizer: Any, **generation: Any
) -> None:
    _randomise(model, seed)
    config = model.config
    defaults = {
        "max_length": LENGTH + 1,
        "pad_token_id": config.pad_token_id,
        "eos_token_id": config.eos_token_id,
        "decoder_start_token_id": config.decoder_start_token_id,
    }
    model.generation_config = transformers.GenerationConfig(**(defaults | generation))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@torch.no_grad()
def _randomise(model: PreTrainedModel, seed: int) -> None:
    torch.manual_seed(seed)
    # Where embeddings are scaled, larger ones would have a model repeat its last token for ever.
    embeddings = 0.2 if getattr(model.config, "scale_embedding", False) else 0.7
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue  # tables of sinusoids
        if name.endswith("bias"):
            parameter.normal_(std=0.2)
        elif parameter.dim() == 1:
            parameter.uniform_(0.5, 1.5)
        elif any(part in name for part in ("shared", "embed", "lm_head", "relative")):
            parameter.normal_(std=embeddings)
        else:
            sharper = {"q_proj": 1.5, "k_proj": 1.5, "Attention.q.": 0.4}
            factor = next((value for part, value in sharper.items() if part in name), 1.0)
            parameter.normal_(std=1.2 * factor * parameter.shape[1] ** -0.5)
    separate = not getattr(model.config, "share_encoder_decoder_embeddings", True)
    for name, parameter in model.named_parameters():
        # Of a model that is not told to tie them.
        if name.endswith("embed_tokens.weight") and not separate:
            parameter.copy_(cast(torch.Tensor, model.get_input_embeddings().weight))
    for name, buffer in model.named_buffers():
        if name == "final_logits_bias":
            buffer.normal_(std=0.5)


def write_marian(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    specials = {"bos_id": -1, "eos_id": 0, "unk_id": 1}
    for side in ("source", "target"):
        (folder / f"{side}.spm").write_bytes(_unigrams(**specials))
    names = [*(name for name, _ in _pieces(**specials)), "<pad>"]
    numbers = {name: index for index, name in enumerate(names)}
    (folder / "vocab.json").write_text(json.dumps(numbers), encoding="utf-8")
    tokenizer = transformers.MarianTokenizer(
        source_spm=str(folder / "source.spm"),
        target_spm=str(folder / "target.spm"),
        vocab=str(folder / "vocab.json"),
        source_lang="en",
        target_lang="fr",
    )
    pad = numbers["<pad>"]
    config = transformers.MarianConfig(
        **SIZES,
        vocab_size=len(names),
        activation_function="swish",
        scale_embedding=True,
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
    )
    model = transformers.MarianMTModel(config)
    _save(folder, model, seed, tokenizer, bad_words_ids=[[pad]], num_beams=4, forced_eos_token_id=0)


def write_two_vocabularies(folder: Path, pieces: tuple[int, int], *codes: str) -> tuple[int, int]:
    """Source and target each with pieces, numbers and special ids of its own; gives their sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = []
    for part, (side, count) in enumerate(zip(("source", "target"), pieces, strict=True)):
        content = _unigrams(part + 1, count, bos_id=-1, eos_id=part, unk_id=1 - part)
        (folder / f"{side}.spm").write_bytes(content)
        model = sentencepiece.SentencePieceProcessor(model_proto=content)
        names = [model.id_to_piece(index) for index in range(count)]
        names += [*(codes if side == "source" else ()), "<pad>"]
        numbers = {name: index for index, name in enumerate(names)}
        path = folder / ("vocab.json" if side == "source" else "target_vocab.json")
        path.write_text(json.dumps(numbers), encoding="utf-8")
        sizes.append(len(names))
    return sizes[0], sizes[1]


def write_marian_two(
    folder: Path,
    seed: int,
    pieces: tuple[int, int] = (PIECES, 260),
    *codes: str,
    tie_word_embeddings: bool = True,
) -> None:
    """Source and target with vocabularies and embeddings of their own."""
    sizes = write_two_vocabularies(folder, pieces, *codes)
    tokenizer = transformers.MarianTokenizer(
        source_spm=str(folder / "source.spm"),
        target_spm=str(folder / "target.spm"),
        vocab=str(folder / "vocab.json"),
        target_vocab_file=str(folder / "target_vocab.json"),
        separate_vocabs=True,
        source_lang="en",
        target_lang="fr",
    )
    # transformers wants padding that both tables have.
    pad = min(sizes) - 1
    config = transformers.MarianConfig(
        **SIZES,
        vocab_size=sizes[0],
        decoder_vocab_size=sizes[1],
        share_encoder_decoder_embeddings=False,
        tie_word_embeddings=tie_word_embeddings,
        activation_function="swish",
        scale_embedding=True,
        pad_token_id=pad,
        eos_token_id=1,
        decoder_start_token_id=pad,
    )
    model = transformers.MarianMTModel(config)
    generation = {"bad_words_ids": [[pad], [sizes[1] - 1]], "forced_eos_token_id": 1}
    _save(folder, model, seed, tokenizer, num_beams=4, **generation)


def _bart_tokenizer() -> Any:
    base = tokenizers.ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    base.train_from_iterator(sentences(), 400, 1, show_progress=False, special_tokens=specials)
    data = json.loads(base.to_str())["model"]
    merges: Any = [tuple(merge) for merge in data["merges"]]
    return transformers.BartTokenizer(vocab=data["vocab"], merges=merges)


def _bart(folder: Path, seed: int, generation: dict[str, Any], **choices: Any) -> None:
    tokenizer = _bart_tokenizer()
    config = transformers.BartConfig(**SIZES, vocab_size=len(tokenizer), **choices)
    model = transformers.BartForConditionalGeneration(config)
    _save(folder, model, seed, tokenizer, **generation)


def write_bart(folder: Path, seed: int) -> None:
    """As facebook/bart-large-cnn is set up."""
    generation = {
        "forced_bos_token_id": 0,
        "forced_eos_token_id": 2,
        "num_beams": 4,
        "early_stopping": True,
        "no_repeat_ngram_size": 3,
        "length_penalty": 2.0,
        "min_length": 8,
    }
    _bart(folder, seed, generation)


def write_bart_untied(folder: Path, seed: int) -> None:
    _bart(
        folder,
        seed,
        {},
        activation_function="gelu_new",
        scale_embedding=True,
        tie_word_embeddings=False,
    )


def _mbart(folder: Path, seed: int, tokenizer: Any, **generation: Any) -> None:
    config = transformers.MBartConfig(
        **SIZES,
        vocab_size=len(tokenizer),
        scale_embedding=True,
        decoder_start_token_id=generation.get("decoder_start_token_id"),
    )
    model = transformers.MBartForConditionalGeneration(config)
    _save(folder, model, seed, tokenizer, **generation)


def _fairseq_pieces(codes: list[str]) -> list[tuple[str, float]]:
    specials = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return [*specials, *_pieces()[3:], *((code, 0.0) for code in codes), ("<mask>", 0.0)]


def write_mbart(folder: Path, seed: int) -> None:
    """mBART-25: the source's code stands after the text, and the target's starts the decoder."""
    from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES

    vocab = _fairseq_pieces(FAIRSEQ_LANGUAGE_CODES)
    tokenizer = transformers.MBartTokenizer(vocab=vocab, src_lang="en_XX", tgt_lang="fr_XX")
    start = tokenizer.convert_tokens_to_ids("fr_XX")
    _mbart(folder, seed, tokenizer, decoder_start_token_id=start, forced_eos_token_id=2)


def write_mbart50(folder: Path, seed: int) -> None:
    """mBART-50: both codes stand before their texts, the target's is forced."""
    from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES

    vocab = _fairseq_pieces(FAIRSEQ_LANGUAGE_CODES)
    tokenizer = transformers.MBart50Tokenizer(vocab=vocab, src_lang="en_XX", tgt_lang="fr_XX")
    french = tokenizer.convert_tokens_to_ids("fr_XX")
    _mbart(
        folder,
        seed,
        tokenizer,
        decoder_start_token_id=2,
        forced_bos_token_id=french,
        forced_eos_token_id=2,
        num_beams=5,
    )


def _m2m100(folder: Path, seed: int, tokenizer: Any, vocab_size: int, **choices: Any) -> None:
    config = transformers.M2M100Config(**SIZES, vocab_size=vocab_size, **choices)
    model = transformers.M2M100ForConditionalGeneration(config)
    _save(folder, model, seed, tokenizer, num_beams=5)


def write_m2m100_pad_start(folder: Path, seed: int) -> None:
    """Its decoder starts with the padding token, which has no position."""
    write_m2m100(folder, seed)
    for name in ("config.json", "generation_config.json"):
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        content["decoder_start_token_id"] = 1
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def write_m2m100(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sentencepiece.bpe.model").write_bytes(_unigrams())
    names = ["<s>", "<pad>", "</s>", "<unk>", *(name for name, _ in _pieces()[3:])]
    numbers = {name: index for index, name in enumerate(names)}
    (folder / "vocab.json").write_text(json.dumps(numbers), encoding="utf-8")
    tokenizer = transformers.M2M100Tokenizer(
        str(folder / "vocab.json"),
        str(folder / "sentencepiece.bpe.model"),
        src_lang="en",
        tgt_lang="fr",
    )
    languages = len(tokenizer.lang_code_to_id)
    _m2m100(folder, seed, tokenizer, len(names) + languages + tokenizer.num_madeup_words)


def write_nllb(folder: Path, seed: int) -> None:
    base = tokenizers.SentencePieceBPETokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False
    )
    base._tokenizer.train_from_iterator(sentences(), trainer)
    data = json.loads(base.to_str())["model"]
    merges: Any = [tuple(merge) for merge in data["merges"]]
    tokenizer = transformers.NllbTokenizer(
        vocab=data["vocab"],
        merges=merges,
        src_lang="eng_Latn",
        tgt_lang="fra_Latn",
        extra_special_tokens=list(NLLB_CODES),
    )
    _m2m100(folder, seed, tokenizer, len(tokenizer), activation_function="gelu")


def write_pegasus(folder: Path, seed: int) -> None:
    specials = ["<pad>", "</s>", "<mask_1>", "<mask_2>", *(f"<unk_{i}>" for i in range(2, 103))]
    vocab = [*((name, 0.0) for name in specials), ("<unk>", 0.0), *_pieces()[3:]]
    tokenizer = transformers.PegasusTokenizer(vocab=vocab)
    config = transformers.PegasusConfig(
        **SIZES, vocab_size=len(tokenizer), activation_function="relu", scale_embedding=True
    )
    model = transformers.PegasusForConditionalGeneration(config)
    _save(folder, model, seed, tokenizer, num_beams=8, length_penalty=0.6, forced_eos_token_id=1)


def _t5_tokenizer(codes: Sequence[str] = ()) -> Any:
    pieces = _pieces(pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    extra = [(f"<extra_id_{index}>", 0.0) for index in reversed(range(100))]
    return transformers.T5Tokenizer(vocab=[*pieces, *((code, 0.0) for code in codes), *extra])


def _t5(
    folder: Path, seed: int, kind: str = "T5", codes: Sequence[str] = (), **choices: Any
) -> None:
    tokenizer = _t5_tokenizer(codes)
    config_class = getattr(transformers, f"{kind}Config")
    config = config_class(
        **T5_SIZES, vocab_size=len(tokenizer) + 4, decoder_start_token_id=0, **choices
    )
    model = getattr(transformers, f"{kind}ForConditionalGeneration")(config)
    if choices.get("tie_word_embeddings") is False:
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.shared.weight))
    _save(folder, model, seed, tokenizer)


def write_t5(folder: Path, seed: int) -> None:
    _t5(folder, seed)


def write_flan_t5(folder: Path, seed: int) -> None:
    """T5 v1.1, which Flan-T5 is, too: a gated feed-forward block and a head of its own."""
    _t5(folder, seed, feed_forward_proj="gated-gelu", tie_word_embeddings=False)


def write_mt5(folder: Path, seed: int) -> None:
    _t5(folder, seed, kind="MT5", feed_forward_proj="gated-silu", layer_norm_epsilon=1e-3)


def _longt5(folder: Path, seed: int, attention: str, **choices: Any) -> None:
    """Sources of the tests are longer than a window, and than several blocks.

    A block is a power of two: `transformers` counts those of other sizes in rounded numbers.
    """
    choices |= {"local_radius": 5, "global_block_size": 4, "encoder_attention_type": attention}
    _t5(folder, seed, "LongT5", **choices)


def write_longt5_local(folder: Path, seed: int) -> None:
    _longt5(folder, seed, "local")


def write_longt5_global(folder: Path, seed: int) -> None:
    """As google/long-t5-tglobal-base is set up: a gated block, and no scale before the head."""
    form = "gated-gelu"
    _longt5(folder, seed, "transient-global", feed_forward_proj=form, tie_word_embeddings=False)


MADLAD_CODES = ("<2en>", "<2fr>", "<2pt>", "<2zh_Hant>", "<2iw>", "<2translate>")


def write_madlad(folder: Path, seed: int) -> None:
    """MADLAD-400: a T5 v1.1 with a piece for each target language, which begins a text."""
    form = "gated-gelu"
    _t5(folder, seed, codes=MADLAD_CODES, feed_forward_proj=form, tie_word_embeddings=False)


FAMILIES: dict[str, Callable[[Path, int], None]] = {
    "marian": write_marian,
    "marian-two": write_marian_two,
    "bart": write_bart,
    "bart-untied": write_bart_untied,
    "mbart": write_mbart,
    "mbart50": write_mbart50,
    "m2m100": write_m2m100,
    "nllb": write_nllb,
    "pegasus": write_pegasus,
    "t5": write_t5,
    "flan-t5": write_flan_t5,
    "mt5": write_mt5,
    "longt5-local": write_longt5_local,
    "longt5-global": write_longt5_global,
}
