import io
import os
import sys

import pytest
from rich.console import Console

from ofar_tf.text.durations import format_duration
from ofar_tf.text.progress import WorkProgress
from ofar_tf.text.tables import table_console


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (3540, "59 min"), (3600, "1 h"), (7500, "2 h 5 min"), (86400, "1 d"),
     (100_000, "1 d 4 h")],
)  # fmt: skip
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_log_gets_a_line_a_minute_and_the_last_one() -> None:
    seconds, written = iter([0.0, 20.0, 70.0, 100.0, 129.0, 140.0]), io.StringIO()
    with WorkProgress(5, console=Console(file=written), clock=lambda: next(seconds)) as progress:
        for part in "abcde":
            progress.advance(f"checked {part}")
    assert written.getvalue().splitlines() == [
        "2/5 after 70 s, about 2 min left: checked b",
        "5/5 after 2 min: checked e",
    ]


def test_a_terminal_gets_a_bar() -> None:
    written = io.StringIO()
    with WorkProgress(2, console=Console(file=written, force_terminal=True, width=80)) as progress:
        progress.advance("saved", parts=2)
    assert "2/2" in written.getvalue() and "saved" in written.getvalue()


def test_where_nobody_reads_on_it_ends_as_print_does(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with io.TextIOWrapper(io.FileIO(write, "w"), write_through=True) as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        with pytest.raises(BrokenPipeError), WorkProgress(1) as progress:
            progress.advance("saved")
        with pytest.raises(BrokenPipeError):
            table_console().print("a row")
