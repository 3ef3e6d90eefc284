from pathlib import Path

import pytest

from ofar_tf.files.file_names import is_text, readable


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("photos/café.jpg", "photos/café.jpg"),
        (Path("a b/c.png"), "a b/c.png"),
        (b"photos/caf\xe9.jpg", r"photos/caf\xe9.jpg (café.jpg in Latin-1)"),
        ("photos/caf\udce9.jpg", r"photos/caf\xe9.jpg (café.jpg in Latin-1)"),
        (b"\xff\x80.jpg", r"\xff\x80.jpg"),  # No printable Latin-1 either.
        ("two\nlines.jpg", r"two\nlines.jpg"),
        ("u\u2028.jpg", r"u\u2028.jpg"),
        ("\x1b[31mred", r"\x1b[31mred"),
    ],
)
def test_a_path_is_shown_as_one_printable_line(path, shown):
    assert readable(path) == shown
    assert readable(path).isprintable()


@pytest.mark.parametrize(("path", "text"), [("café", True), (b"caf\xc3\xa9", True), (b"caf\xe9", False)])
def test_bytes_that_are_no_utf_8_are_told_from_text(path, text):
    assert is_text(path) is text
