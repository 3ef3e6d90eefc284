"""Text files that people and their tools wrote: in UTF-8 as a rule, with a mark at the start as editors leave it."""

import codecs
import gzip
from pathlib import Path

from ofar_tf.data.file_names import readable

# UTF-32 is not looked for: its little-endian mark begins like that of UTF-16, and nobody writes it.
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_lines(path: Path) -> list[str]:
    """Reads the lines of a text file that are not blank, without the blanks around them; see `read_text`."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_text(path: Path) -> str:
    """Reads a text file in UTF-8, or in UTF-16 if it says so; the mark that says so is no part of the text.

    A file whose name ends in `.gz` is unpacked.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is in another encoding; the message names it.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read()
    encoding = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Expected text in UTF-8 in {readable(path)} (save it so). Received: bytes that are none, at {error.start}."
        ) from error
