"""File names as they can be printed, whatever their bytes are."""

import os


def readable(path: str | bytes | os.PathLike[str]) -> str:
    r"""Returns a path as one printable line.

    On Linux a file's name is bytes, and need not be text. Python keeps bytes that are not UTF-8 as lone surrogates,
    which no terminal, log or JSON file takes.

    Args:
        path: A path as Python gives it, or its bytes.

    Returns:
        The path; bytes that are no UTF-8 and control characters are escaped, as in `caf\xe9.jpg`, and where there are
        such bytes the name as Latin-1 would read it follows in brackets.
    """
    raw = os.fsencode(path)
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in _decoded(raw))
    if is_text(raw):
        return text
    guess = os.path.basename(raw).decode("latin-1")  # noqa: PTH119, a Path takes no bytes.
    return f"{text} ({guess} in Latin-1)" if guess.isprintable() else text


def is_text(path: str | bytes | os.PathLike[str]) -> bool:
    """Returns whether the bytes of a path are UTF-8."""
    try:
        os.fsencode(path).decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
