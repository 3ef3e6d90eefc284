"""Files that cannot be used, told all at once: nobody likes to mend one, start again and hear of the next."""

from collections.abc import Sequence


def require_none(refused: Sequence[ValueError]) -> None:
    """Names the first of the files that cannot be used, and says how many there are.

    Args:
        refused: What was said of each of them.

    Raises:
        ValueError: There is one.
    """
    if refused:
        first, more = str(refused[0]).removesuffix("."), len(refused) - 1
        raise ValueError(f"{first}, and {more} more such file{'s' * (more > 1)}." if more else f"{first}.")
