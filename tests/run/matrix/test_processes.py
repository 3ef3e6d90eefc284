import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ofar_tf.files.folder_lock import FolderLock
from ofar_tf.run.matrix.processes import Processes, python_module

# Calls a command that tells its process and waits for ever.
_CALLER = """
import pathlib, sys
from ofar_tf.files.folder_lock import FolderLock
from ofar_tf.run.matrix.processes import Processes
folder = pathlib.Path(sys.argv[1])
processes = Processes(lambda command: [sys.executable, "-I", "-S", "-c", command], FolderLock(folder))
processes.call("import os, time; print(os.getpid(), flush=True); time.sleep(600)", [], log=folder / "log")
"""


def python(statements: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", statements]


def test_what_a_command_prints_is_added_to_the_log_behind_its_command_line(
    processes: Processes, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_text("from before\n")
    talks = Processes(python, processes.lock)
    assert talks.call("import sys; print(sys.argv[1:]); print('oh', file=sys.stderr)", ["--a=b c"], log=log) is None
    lines = log.read_text().splitlines()
    assert lines[0] == "from before"
    assert lines[1].startswith(f"$ {sys.executable} -I -S -c ") and lines[1].endswith(" '--a=b c'")
    assert set(lines[2:]) == {"['--a=b c']", "oh"}


@pytest.mark.parametrize(
    ("statements", "failure"),
    [
        ("raise SystemExit('Error: no\\n\\n')", " ended with status 1: Error: no"),
        ("raise SystemExit(2)", " ended with status 2"),
        ("import os; os.kill(os.getpid(), 9)", " was killed by signal 9"),
    ],
)
def test_a_failure_is_told_in_one_line_with_the_last_words_of_the_command(
    statements: str, failure: str, processes: Processes, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("words of an earlier command\n")
    assert Processes(python, processes.lock).call(statements, [], log=tmp_path / "log") == statements + failure


def test_a_command_left_behind_keeps_the_folder_until_it_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with subprocess.Popen([sys.executable, "-c", _CALLER, str(tmp_path)]) as caller:
        wait_until(lambda: log.exists() and log.read_text().count("\n") == 2)
        caller.kill()
    try:
        assert not is_free(tmp_path)
    finally:
        os.kill(int(log.read_text().splitlines()[1]), signal.SIGKILL)
    wait_until(lambda: is_free(tmp_path))


def is_free(folder: Path) -> bool:
    try:
        FolderLock(folder).release()
    except ValueError:
        return False
    return True


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_commands_run_under_this_python() -> None:
    assert python_module("train") == [sys.executable, "-m", "ofar_tf.train"]
