"""A worker as its caller sees it: a process that takes jobs and answers for each file."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ofar_tf.conversion.jobs import ConversionJob, jobs_to_line
from ofar_tf.conversion.worker import one_line

# The second turns `tf.keras` into Keras 2 for its whole process (DESIGN section 4).
PLAIN, QUANTIZATION_AWARE = "ofar_tf.conversion.worker", "ofar_tf.conversion.quantization_aware.worker"
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


class WorkerEndedError(Exception):
    """The process ended before it answered; the message says how, in one line."""


class WorkerProcess:
    """A running worker.

    Args:
        module: `PLAIN` or `QUANTIZATION_AWARE`.
        heirs: What `FolderLock.for_heirs` says of the folder that it writes to.
    """

    def __init__(self, module: str, *, heirs: Mapping[str, Any] | None = None):
        self.module = module
        self.networks = 0
        # Both live as long as the process, which is killed in the midst of its work and clears nothing away itself.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._scratch = tempfile.TemporaryDirectory(prefix="ofar_tf_worker_", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            env=_environment(module, scratch=self._scratch.name),
            **(heirs or {}),
        )

    def begin(self, jobs: Sequence[ConversionJob]) -> None:
        """Hands over the files of one network.

        Args:
            jobs: The files, of one `.keras` file.

        Raises:
            WorkerEndedError: If the process has ended.
        """
        self.networks += 1
        try:
            print(jobs_to_line(jobs), file=self._process.stdin, flush=True)
        except OSError as error:
            raise self._ended() from error

    def answer(self) -> str | None:
        """Waits for the next file.

        Returns:
            None where it was written, else what went wrong, in one line.

        Raises:
            WorkerEndedError: If the process ends instead.
        """
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line.endswith("\n"):
            raise self._ended()
        answer: str | None = json.loads(line)
        return answer

    def kill(self) -> None:
        """Ends the process whatever it does; who waits for its answer learns of it."""
        self._process.kill()

    def end(self) -> None:
        """Lets the process end, which it does at once whatever it does, and waits for that."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # It may have died with unread jobs in the pipe.
                if pipe:
                    pipe.close()
        self._process.wait()
        self._log.close()
        self._scratch.cleanup()

    def _ended(self) -> WorkerEndedError:
        code = self._process.wait()
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._log.seek(0)
        printed = self._log.read().decode(errors="replace").strip().splitlines()
        last = one_line(printed[-1]) if printed else "no message"
        return WorkerEndedError(f"The conversion process ended with {cause}: {last}")


def _environment(module: str, *, scratch: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH")]))
    # Conversion runs on the CPU. A process that sees a GPU takes most of its memory, and there are several.
    hidden = {"CUDA_VISIBLE_DEVICES": "-1"} if module == PLAIN else {}
    return {**os.environ, "PYTHONPATH": path, "TMPDIR": scratch, **hidden}
