"""Trains a SentencePiece unigram vocabulary and writes it as `tokenizer.json`.

SentencePiece: Kudo and Richardson 2018 (arXiv:1808.06226).  Byte fallback spells a character that
the vocabulary lacks in UTF-8 bytes, so no input is ever unknown.
"""

import io
from collections.abc import Iterable

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.utils import sentencepiece_model_pb2_new as sentencepiece_model_pb2

PAD, EOS, UNK, BOS = "<pad>", "</s>", "<unk>", "<s>"


def train_vocabulary(texts: Iterable[str], size: int) -> Tokenizer:
    """Learns `size` pieces (pad 0, end of sequence 1, unknown 2) from `texts`."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=size,
        model_type="unigram",
        byte_fallback=True,
        character_coverage=0.9998,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
        num_threads=2,
    )
    return convert_sentencepiece(model.getvalue())


def convert_sentencepiece(model: bytes) -> Tokenizer:
    """The same segmentation as a Hugging Face tokenizer that appends the end of sequence."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)  # type: ignore[attr-defined]
    unigram = models.Unigram([(p.piece, p.score) for p in proto.pieces], 2, byte_fallback=True)
    tokenizer = Tokenizer(unigram)
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
            normalizers.Strip(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always", split=False)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", pair=f"$A $B {EOS}", special_tokens=[(EOS, 1)]
    )
    tokenizer.add_special_tokens([PAD, EOS, UNK])
    return tokenizer


def add_first_token(tokenizer: Tokenizer) -> Tokenizer:
    """Adds `<s>`, which starts every text and whose state a classifier reads.

    A pair of texts is laid out as RoBERTa does: `<s> A </s> </s> B </s>`.
    """
    tokenizer.add_special_tokens([BOS])
    special = [(token, tokenizer.token_to_id(token)) for token in (BOS, EOS)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}", pair=f"{BOS} $A {EOS} {EOS} $B {EOS}", special_tokens=special
    )
    return tokenizer
