"""Commands whose output goes nowhere end in one line or do their work; nothing that they say lands elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
COMMAND = """
import os, sys
from ofar_tf import flags
from ofar_tf.shipping.select_config import SelectConfig

def main(config):
    with flags.one_line_errors():
        print("why", file=sys.stderr)
        print("the path")
        with open(config.export_dir, "wb") as file:
            os.write(1, b"of a library")
            os.write(2, b"of a library")
            file.write(b"mine")

flags.run(main, SelectConfig)
"""


def run(redirections, *, path, program=("-c", COMMAND), **variables):
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirections}', "sh", sys.executable, *program, f"--export_dir={path}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **variables},
        check=False,
    )


@pytest.mark.parametrize(
    ("closed", "output", "errors"),
    [
        ("2>&-", "the path\nof a library", ""),
        (">&-", "", "why\nof a library"),
        ("<&- >&- 2>&-", "", ""),
    ],
)
def test_what_is_for_a_closed_stream_lands_on_no_other_and_in_no_file(tmp_path, closed, output, errors):
    ended = run(closed, path=tmp_path / "file")
    assert (ended.returncode, sorted(ended.stdout.split()), ended.stderr) == (0, sorted(output.split()), errors)
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("program", [("-c", COMMAND), ("-m", "ofar_tf.select", "--help"), ("-m", "ofar_tf", "--help")])
def test_a_full_disk_behind_the_output_is_one_line(tmp_path, program):
    if not Path("/dev/full").exists():
        pytest.skip("only Linux has a device that is always full")
    ended = run(">/dev/full", path=tmp_path / "file", program=program)
    said = ended.stderr.removeprefix("why\n").removeprefix("of a library")
    assert ended.returncode == 1
    assert said.startswith(
        "Error: Expected room for what is printed and for temporary files, whose place TMPDIR may name. "
    )
    assert said.endswith(" Received: No space left on device.\n") and said.count("\n") == 1


def test_a_name_that_the_encoding_of_the_output_has_no_letters_for_ends_no_command(tmp_path):
    program = ("-c", COMMAND.replace("the path", "Größe, 大"))
    for encoding, said in (("ascii", r"Gr\xf6\xdfe, \u5927"), ("utf-8", "Größe, 大")):
        ended = run("2>&-", path=tmp_path / "file", program=program, PYTHONIOENCODING=encoding)
        assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, said)
