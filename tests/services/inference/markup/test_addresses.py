"""Addresses are found whole, and nothing that follows them is taken with them, in any script."""

import pytest

from services.inference.markup import parse
from services.inference.text.placeholders import placeholders
from tests.services.inference.markup.models import MODELS, Model, translate


def found_in(text: str) -> list[str]:
    return [text[start:end] for start, end in placeholders(text)]


DOCS = "https://example.com/docs"
# "@" is where the address stands.
CONTEXTS = [
    "詳細は@。ご不明な点はお問い合わせください。",
    "詳細は@をご覧ください。",
    "詳細は @ をご覧ください。",
    "詳細（@）をご覧ください。",
    "詳細は「@」、または『@』！",
    "详情请见@，谢谢。",
    "访问@查看更多；再见",
    "是@吗？是@！对：@…好【@】",
    "@에서 확인하세요",
    "주소는 @입니다.",
    "ดูที่@สำหรับข้อมูล",
    "ເບິ່ງ@ສຳລັບ",
    "راجع @، ثم @؛ أو @؟",
    "راجع@.",
    "ראו @־ או ב@, ו-@.",
    "देखें @। फिर",
    "См. @, далее — «@».",
    "Voir « @ », “@”, ‘@’, „@“, ‹@›, '@' ou \"@\".",
    "See @. Then @, or (@), [@]; @: @! @?",
    "Wait for @... or @… or @.)",
    "[text](@) and ![image](@).",
    "[text](@), [x]: @",
    "<@> `@` **@** *@* _@_ ~@~ |@|",
    "@\u200b@\u200f.",
    "y:@",
    "@&lt;",
    "@\\nNext",
]
ADDRESSES = [
    DOCS,
    "https://example.com",
    "https://example.com/",
    "https://example.com:8080/a/b.html?x=1&y=%20#top",
    "https://example.com/a,b;c=d/e!f/(g)",
    "https://en.wikipedia.org/wiki/Foo_(bar)",
    "https://example.com/%E6%97%A5%E6%9C%AC",
    "https://münchen.example/straße",
    "https://пример.рф/путь/к?ключ=значение",
    "https://例え.テスト/a",
    "https://xn--r8jz45g.xn--zckzah/",
    "https://ru.wikipedia.org/wiki/Россия",
    "https://{host}/{id}/x",
    "http://[2001:db8::1]:80/x",
    "http://user:pass@host:80/~p",
    "ftp://ftp.example.com/pub/x.tar.gz",
    "file:///etc/hosts",
    "myapp://open/page",
    "www.example.com",
    "www.example.com/docs?x=1",
]


@pytest.mark.parametrize("context", CONTEXTS)
def test_what_stands_around_an_address_is_no_part_of_it(context: str) -> None:
    for address in ADDRESSES:
        if address.startswith("www.") and "/@" in context:
            continue
        if address.endswith("/") and "@\\n" in context:
            continue
        found = [each for each in found_in(context.replace("@", address)) if each != "&lt;"]
        assert found == [address] * context.count("@")


@pytest.mark.parametrize(
    "context",
    [
        "連絡先は@まで。",
        "连络@。",
        "（@）「@」",
        "메일은 @으로",
        "อีเมล@ครับ",
        "البريد @، أو",
        "Write to @, <@> or (@).",
        "“@”, '@'…",
        "mail:@.",
    ],
)
@pytest.mark.parametrize(
    "address", ["support@example.com", "a.b+c@mail.example.co.jp", "x@例え.jp"]
)
def test_mail_addresses_beside_text_of_any_script(context: str, address: str) -> None:
    assert found_in(context.replace("@", address)) == [address] * context.count("@")


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        # The title of a page that the writer set apart, against text that goes on.
        ("参照 https://ja.wikipedia.org/wiki/日本 です", ["https://ja.wikipedia.org/wiki/日本"]),
        ("（https://zh.wikipedia.org/wiki/中国）", ["https://zh.wikipedia.org/wiki/中国"]),
        ("https://ko.wikipedia.org/wiki/한국", ["https://ko.wikipedia.org/wiki/한국"]),
        ("https://ja.wikipedia.org/wiki/日本を参照", ["https://ja.wikipedia.org/wiki/日本"]),
        ("https://example.com/をご覧ください", ["https://example.com/"]),
        ("访问https://example.com/查看更多", ["https://example.com/"]),
        ("https://日本語.jpを参照", ["https://日本語.jp"]),
        ("https://日本語を参照", []),
        ("почта@пример.рф, jörg@müller.de", ["почта@пример.рф", "jörg@müller.de"]),
        ("@user@host.example a@b", ["@user@host.example"]),
        ("git@host.example:org/repo.git.", ["git@host.example:org/repo.git"]),
        ("Ann:a@b.example:or c@d.example;", ["a@b.example", "c@d.example"]),
        ("mailto:a@b.example tel:+49-30-1", ["mailto:a@b.example", "tel:+49-30-1"]),
        ("https:// http://. www. www.。 ://", []),
        ("https://a.example/x(y and z)", ["https://a.example/x(y"]),
        ("https://a.example)(https://b.example", ["https://a.example", "https://b.example"]),
        ("/usr/share/docを参照、は/usr/share/docに", ["/usr/share/doc"] * 2),
        (r"C:\dir\fileを \\server\share\x.", [r"C:\dir\file", r"\\server\share\x"]),
        ("1/2/3, and/or/both, tel: 5, data: x, news:all, urn: a", []),
    ],
)
def test_decisions(text: str, addresses: list[str]) -> None:
    assert found_in(text) == addresses


def test_a_japanese_sentence_keeps_all_that_follows_an_address() -> None:
    source = "詳細はhttps://example.com/docs。ご不明な点はお問い合わせください。"
    assert [each.text for each in parse(source, "", "ja").segments] == [
        "詳細はX1。",
        "ご不明な点はお問い合わせください。",
    ]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_addresses_come_back_once(model: Model) -> None:
    for context in CONTEXTS:
        if "&" in context or "\\" in context:
            continue
        source = context.replace("@", DOCS)
        for mime_type in ("text/plain", "text/html"):
            text = source.replace("<", "&lt;") if mime_type == "text/html" else source
            output, _ = translate(text, mime_type, model)
            assert output.count(DOCS) == source.count(DOCS), output
