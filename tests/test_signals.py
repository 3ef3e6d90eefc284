"""A command that is stopped says so in one line, and its status is that of the signal."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = """
import sys, time
from ofar_tf import flags
from ofar_tf.shipping.select_config import SelectConfig

def main(config):
    with flags.one_line_errors():
        print("ready", flush=True)
        time.sleep(60)

flags.run(main, SelectConfig)
"""

CHECKOUT = Path(__file__).parents[1]
SIGNALS = pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)


@SIGNALS
def test_a_stopped_command_prints_one_line(number: signal.Signals, status: int) -> None:
    stop([sys.executable, "-c", COMMAND, "--export_dir=e"], number=number, status=status, paths=[CHECKOUT])


@SIGNALS
@pytest.mark.parametrize(
    "start", [["-m", "ofar_tf.select"], ["-m", "ofar_tf"], ["-c", "from ofar_tf.console import main; main()"]]
)
def test_a_command_that_still_loads_prints_one_line_too(
    start: list[str], number: signal.Signals, status: int, tmp_path: Path
) -> None:
    # What the flags need first takes its time.
    (tmp_path / "absl.py").write_text("import time; print('ready', flush=True); time.sleep(60)")
    name = [] if start == ["-m", "ofar_tf.select"] else ["select"]
    command = [sys.executable, *start, *name, "--export_dir=e"]
    stop(command, number=number, status=status, paths=[tmp_path, CHECKOUT])


def test_a_command_that_nohup_started_goes_on_when_the_terminal_is_closed() -> None:
    goes_on = COMMAND.replace("time.sleep(60)", "os.kill(os.getpid(), signal.SIGHUP); print('went on')")
    ended = subprocess.run(
        [sys.executable, "-c", f"import os, signal{goes_on}", "--export_dir=e"],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ready\nwent on\n", "")


def test_a_second_signal_while_python_ends_is_no_traceback() -> None:
    # As often as it is asked, and also where Python would go on.
    slow = "import atexit, os, signal\natexit.register(lambda: [os.kill(os.getpid(), 2), time.sleep(60)])"
    stop([sys.executable, "-c", slow + COMMAND, "--export_dir=e"], number=signal.SIGTERM, status=130, paths=[CHECKOUT])


def test_a_program_that_uses_the_library_keeps_its_signals() -> None:
    program = (
        "import signal; numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP; "
        "before = [*map(signal.getsignal, numbers)]; import ofar_tf; "
        "print(before == [*map(signal.getsignal, numbers)])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=CHECKOUT)
    assert ended.stdout == "True\n"


def as_in_a_terminal() -> None:
    """Tests that a shell began in the background ignore Ctrl-C, under nohup SIGHUP, and so would their children."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def stop(command: list[str], *, number: signal.Signals, status: int, paths: list[Path]) -> None:
    """Sends a signal to a command once it says that it is ready."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=as_in_a_terminal,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert errors == "Stopped. What was finished is kept: the same command goes on from there.\n"
    assert process.returncode == status


def test_a_keras_that_is_set_to_another_backend_is_set_right_for_a_command_and_refused_in_a_program() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "KERAS_BACKEND": "torch"}
    run = "import os; from ofar_tf import flags; from ofar_tf.shipping.select_config import SelectConfig as kind; "
    run += "flags.run(lambda config: print(os.environ['KERAS_BACKEND']), kind)"
    ended = subprocess.run(
        [sys.executable, "-c", run, "--export_dir=e"], capture_output=True, text=True, env=environment
    )
    assert (ended.stdout, ended.stderr) == ("tensorflow\n", "")
    program = "import ofar_tf; ofar_tf.models"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert ended.stderr.splitlines()[-1].startswith(
        "ImportError: Expected Keras with its TensorFlow backend: leave KERAS_BACKEND unset"
    )
