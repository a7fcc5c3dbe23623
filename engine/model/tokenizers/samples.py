"""Texts that a tokenizer is tried on before its checkpoint is served."""

TEXTS = (
    "",
    " ",
    "Hello, world!",
    "It's a small, fast text editor (GPL).",
    "The Quick BROWN fox, iPhone, McDonald, ÉCOLE, STRASSE, Straße, İstanbul",
    "Où est l'été ? Déjà vu, naïve, façade, Ångström, mañana, Žižek",
    "cafe\u0301 and cafe\u0300, o\u0308 and n\u0303",
    "\ufb01ne \uff46\uff55\uff4c\uff4c \u2460 \u00bd \u2122 \u00aa",
    "  two  spaces  inside, before and   after  ",
    "tab\tand\nlines\r\n\nand\u00a0no-break\u3000wide",
    "emoji \U0001f600 \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7 after",
    "東京都の天気。中文字符，標點",
    "العربية עברית हिन्दी ไทย 한국어 Ελληνικά Русский",
    "1,234.56 € 100 % 3/4 2024-05-06T07:08 +33 (0)1",
    "“quotes” ‘single’ ``tex'' «guillemets» – — … don't",
    '<a href="x">b</a> &amp; {name} %s C++ C# @user #tag https://example.com/a?b=c',
    "\u200b\ufeffzero width\u00ad",
    "\ue000\U000f0000 unknown \u16a0\u16b1 runes",
    "word" * 40,
    "▁ and _ and __init__",
)

SPELLED = (
    "a </s> b <s> <unk> <pad> <mask>",
    "[CLS] a [SEP] [MASK] [PAD] [UNK]",
    "en_XX ro_RO eng_Latn __en__ __fr__ >>fra<< text",
    "<extra_id_0> <mask_1> <mask_2> <cls> <eos>",
)
"""Texts that spell special tokens: each stays text."""
