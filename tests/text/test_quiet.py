import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ofar_tf.text.quiet import quiet_start


def test_what_is_written_past_python_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_start():
        os.write(2, b"a notice")
    os.write(2, b"an error")
    assert capfd.readouterr().err == "an error"


def test_what_was_held_back_is_shown_where_it_explains_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), quiet_start():
        os.write(2, b"libcuda.so.1: no such file")
        raise ImportError
    assert capfd.readouterr().err == "libcuda.so.1: no such file"


def test_a_command_that_is_stopped_meanwhile_shows_no_notices(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), quiet_start():
        os.write(2, b"a notice")
        raise KeyboardInterrupt
    assert capfd.readouterr().err == ""


def test_the_screen_is_there_again_after_many_threads_were_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        for _ in range(50):
            with quiet_start(), quiet_start():
                os.write(2, b"a notice")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"an error")
    assert capfd.readouterr().err == "an error"


def test_without_standard_error_nothing_is_held_back() -> None:
    code = "import os; os.close(2); from ofar_tf.text.quiet import quiet_start\nwith quiet_start(): print('ran')"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert (ended.stdout, ended.returncode) == ("ran\n", 0)
