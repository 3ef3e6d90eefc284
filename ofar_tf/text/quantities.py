"""Numbers as engineers write them: `504M` multiply-adds, `2.5G`, `750K` bytes."""

import math
import re
from fractions import Fraction

_FACTORS = {"": 1, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)([KMG]?)", re.IGNORECASE | re.ASCII)


def parse_quantity(text: str | float) -> int:
    """Reads a count such as `120M`, `2.5G`, `750K` or `1000000`.

    Args:
        text: A number with at most one suffix, K (1e3), M (1e6) or G (1e9), upper or lower case; or a Python number,
            such as `250e6`, whose whole part counts.

    Returns:
        The count, a positive int, exactly as written.

    Raises:
        ValueError: If the text is no such number, or the count is zero, not whole or not finite.
    """
    if isinstance(text, float) and math.isfinite(text):
        text = int(text)
    match = _PATTERN.fullmatch(str(text).strip())
    count = Fraction(match[1]) * _FACTORS[match[2].upper()] if match else Fraction(0)
    if count < 1 or count.denominator != 1:
        raise ValueError(f"Expected a positive quantity such as 120M, 2.5G or 750K. Received: {text!r}.")
    return int(count)


def format_quantity(count: int) -> str:
    """Writes a count with three significant digits and a suffix, for instance `107M` or `2.84G`.

    Args:
        count: A count, at least zero.

    Returns:
        A text that `parse_quantity` reads back to within 0.5 %.
    """
    for suffix, factor in (("G", 1_000_000_000), ("M", 1_000_000), ("K", 1_000)):
        if count >= 0.9995 * factor:
            value = count / factor
            return f"{value:.0f}{suffix}" if value >= 99.95 else f"{value:.3g}{suffix}"
    return str(count)
