import codecs
from pathlib import Path

import pytest

from ofar_tf.run.flagfile import expand_flagfiles, quoted


@pytest.mark.parametrize(
    "encoded",
    [
        b"--epochs=3\n--model=mine\n",
        codecs.BOM_UTF8 + b"--epochs=3\r\n--model=mine\r\n",
        "--epochs=3\r\n--model=mine".encode("utf-16"),
        codecs.BOM_UTF16_BE + "--epochs=3\n--model=mine".encode("utf-16-be"),
        "--epochs=3\n--model=mine".encode("utf-32"),
        b"\n # a comment\n// another\n  --epochs=3  \n\n--model=mine",
    ],
    ids=["plain", "marked UTF-8", "UTF-16", "big-endian UTF-16", "UTF-32", "comments"],
)
def test_a_flagfile_of_any_editor_is_read(tmp_path: Path, encoded: bytes) -> None:
    (tmp_path / "a.flagfile").write_bytes(encoded)
    for given in ([f"--flagfile={tmp_path / 'a.flagfile'}"], ["--flagfile", str(tmp_path / "a.flagfile")]):
        assert expand_flagfiles(["--seed=1", *given, "--epochs=4"]) == [
            "--seed=1",
            "--epochs=3",
            "--model=mine",
            "--epochs=4",
        ]


@pytest.mark.parametrize("encoded", [b"--model=caf\xe9", "--model=a".encode("utf-16-le"), b"\x93NUMPY\0\xff"])
def test_what_is_no_text_is_named(tmp_path: Path, encoded: bytes) -> None:
    (tmp_path / "a.flagfile").write_bytes(encoded)
    with pytest.raises(ValueError, match=rf"^Expected text in UTF-8 in {tmp_path}/a\.flagfile "):
        expand_flagfiles([f"--flagfile={tmp_path / 'a.flagfile'}"])


def test_flagfiles_name_others_but_not_themselves(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"--flagfile={tmp_path / 'b'}\n--seed=2")
    (tmp_path / "b").write_text("--epochs=3\n")
    assert expand_flagfiles([f"--flagfile={tmp_path / 'a'}"]) == ["--epochs=3", "--seed=2"]
    (tmp_path / "b").write_text(f"--flagfile={tmp_path / 'a'}\n")
    with pytest.raises(ValueError, match=r"Expected flagfiles that do not name themselves"):
        expand_flagfiles([f"--flagfile={tmp_path / 'a'}"])


@pytest.mark.parametrize("name", ["none.flagfile", "."])
def test_a_flagfile_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"^Expected a flagfile that can be read. Received: "):
        expand_flagfiles([f"--flagfile={tmp_path / name}"])


@pytest.mark.parametrize(
    "value", ["run #2", "'run", '"a b"', " a", "Ada's #1", "$HOME/$x", "a --b=c", "a\\", "plain", "a b", "#", ""]
)
def test_a_value_comes_back_from_a_flagfile_as_it_was(tmp_path: Path, value: str) -> None:
    (tmp_path / "a").write_text(f"--run_dir={quoted(value)}\n")
    assert expand_flagfiles([f"--flagfile={tmp_path / 'a'}"]) == [f"--run_dir={value}"]


def test_a_comment_behind_a_value_is_refused_in_a_flagfile_and_part_of_a_text_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("--run_dir=runs/one  # the first\n")
    with pytest.raises(ValueError, match=r"Expected no comment behind a value"):
        expand_flagfiles([f"--flagfile={tmp_path / 'a'}"])
    assert expand_flagfiles(["--run_dir=run #2", "--", "--flagfile=x"]) == ["--run_dir=run #2", "--", "--flagfile=x"]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("--run_dir=$HOME/run", "'$HOME'"),
        ('--run_dir="${SCRATCH}/my run"', "'${'"),
        ("--run_dir=run_$(date)", "'$('"),
        ("--run_dir=run --epochs=3", "'--epochs'"),
        ("--run_dir=run \\", "'\\'"),
        ("--run_dir run", "as --name=value."),
        ("--noprogress  # in a log", "as --name=value."),
        ("--run_dir='run", "within quotes"),
        ("--run_dir='run' # the first", "within quotes"),
    ],
)
def test_what_only_a_shell_would_understand_is_refused_and_becomes_part_of_no_name(
    tmp_path: Path, line: str, part: str
) -> None:
    (tmp_path / "a").write_text(line)
    with pytest.raises(ValueError, match=r"^Expected .+\. Received: ") as caught:
        expand_flagfiles([f"--flagfile={tmp_path / 'a'}"])
    assert part in str(caught.value) and str(caught.value).endswith(f"Received: {line}")


@pytest.mark.parametrize(("line", "value"), [('"photos #2"', "photos #2"), ("'a $b'", "a $b"), ('"a b"c', "a bc")])
def test_a_value_in_quotes_is_taken_without_them(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / "a").write_text(f"--data_dir={line}")
    assert expand_flagfiles([f"--flagfile={tmp_path / 'a'}"]) == [f"--data_dir={value}"]
