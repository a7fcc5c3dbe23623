"""Numbers as people read them."""


def digits(number: float) -> str:
    """The number with four digits that count, and never an exponent: 85,520."""
    return f"{float(f'{number:.4g}'):,.10g}"
