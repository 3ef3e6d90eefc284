import shlex

from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.text.command_line import command_line


def test_a_plain_command_is_written_plainly() -> None:
    assert command_line("evaluate", run_dir="runs/one", data_dir=None) == (
        "python -m ofar_tf.evaluate --run_dir=runs/one"
    )


def test_what_a_shell_would_split_is_quoted() -> None:
    assert command_line("select", export_dir="my runs/#1", max_macs=5) == (
        "python -m ofar_tf.select --export_dir='my runs/#1' --max_macs=5"
    )


@given(folder=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_shell_gives_the_command_the_very_folder(folder: str) -> None:
    assert shlex.split(command_line("train", run_dir=folder))[3] == f"--run_dir={folder}"
