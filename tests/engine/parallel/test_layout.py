"""What a layout may be, and what it says of itself."""

import pytest

from engine.parallel.layout import Layout


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("tp=2,sp=2,dp=2", Layout(2, 2, 2)),
        ("dp=4", Layout(1, 1, 4)),
        (" sp=3 , tp=1 ", Layout(1, 3, 1)),
    ],
)
def test_a_layout_is_read(text: str, layout: Layout) -> None:
    assert Layout.parse(text) == layout
    assert Layout.parse(str(layout)) == layout
    assert layout.ranks == layout.tensor * layout.sequence * layout.data


@pytest.mark.parametrize(
    "text", ["", "tp", "tp=", "tp=-1", "tp=2,tp=2", "pp=2", "tp=2;sp=2", "tp=0", "dp=65", "tp=1.5"]
)
def test_what_is_no_layout_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(ValueError, match=r"has to be"):
        Layout.parse(text)
