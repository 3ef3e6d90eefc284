"""Text files that people and their tools wrote: in UTF-8 as a rule, with a mark at the start as editors leave it."""

import codecs
import gzip
from pathlib import Path

from ofar_tf.files.file_names import readable

# UTF-32's little-endian mark begins as UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_lines(path: Path) -> list[str]:
    """Reads the lines of a text file that are not blank, without the blanks around them; see `read_text`."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_text(path: Path) -> str:
    """Reads a text file in UTF-8, or in UTF-16 or UTF-32 if it says so; the mark that says so is no part of the text.

    A file whose name ends in `.gz` is unpacked.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is in another encoding, or no text; the message names it.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read()
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
        strange = text.find("\0")  # UTF-16 without its mark, or no text at all.
    except UnicodeDecodeError as error:
        strange = error.start
    if strange >= 0:
        raise ValueError(
            f"Expected text in UTF-8 in {readable(path)} (save it so). Received: bytes that are none, at {strange}."
        )
    return text
