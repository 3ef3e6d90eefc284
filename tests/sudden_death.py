"""Processes that die at a moment of their own choosing; for the scripts `killed_training` and `killed_export`."""

import os
import random
import signal
import sys
import threading
import time

FILE_EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


def die():
    """Kills the process and all that it started."""
    os.kill(0, signal.SIGKILL)


def die_at_random(seed, folder, *, operations, seconds):
    """Dies when the process is about to do something to a file below the folder for the n-th time, or after that.

    Args:
        seed: Seed of the draws.
        folder: The folder.
        operations: The largest n.
        seconds: The longest time to wait after that; a third of the seeds do not wait, a third wait milliseconds.
    """
    draw = random.Random(seed)
    left, delay = draw.randint(1, operations), draw.choice([0.0, draw.uniform(0, 0.01), draw.uniform(0, seconds)])

    def watch(event, arguments):
        nonlocal left
        if event in FILE_EVENTS and str(arguments[0]).startswith(str(folder)):
            left -= 1
            if left == 0:
                threading.Timer(delay, die).start() if delay else die()

    sys.addaudithook(watch)


def end_of(work):
    """Runs a function in a process of its own, forked from this one, and says how it ended.

    Fork before TensorFlow has done anything: then it is imported once for all processes.

    Args:
        work: The function; what it returns is the exit status.

    Returns:
        `killed`, or the exit status as text.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        try:
            os._exit(work() or 0)
        except SystemExit as error:  # As the interpreter does it: a message is printed, and the status is 1.
            print(*[error] if isinstance(error.code, str) else [], file=sys.stderr, flush=True)
            os._exit(error.code if isinstance(error.code, int) else 1)
    _, status = os.waitpid(child, 0)
    _wait_for_the_rest(child)
    return (
        "killed"
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        else str(os.waitstatus_to_exitcode(status))
    )


def _wait_for_the_rest(group):
    """Waits until the processes that the dead one started are dead too; where nobody buries them, for two seconds."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
