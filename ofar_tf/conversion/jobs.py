"""Many conversions, each in a process of its own: `python -m ofar_tf.conversion.jobs JOB.json`.

The converter leaks memory and can take its process down; neither may cost the other files.
"""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ofar_tf.conversion.precision import precision_named
from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
from ofar_tf.files import atomic_file, finished_work
from ofar_tf.files.json_values import from_json
from ofar_tf.tflite.metadata import FileMetadata, with_metadata

_POLL_SECONDS = 0.05
# The second turns `tf.keras` into Keras 2 for its whole process (DESIGN section 4).
_PLAIN, _QUANTIZATION_AWARE = "ofar_tf.conversion.jobs", "ofar_tf.conversion.quantization_aware.worker"
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ConversionJob:
    """One file to convert.

    Attributes:
        keras_path: The model, a `.keras` file of stock layers.
        tflite_path: The file to write.
        precision: A key of `ofar_tf.conversion.precision.PRECISIONS`.
        representative_path: A `.npy` file with images [N, r, r, 3], uint8 or float, values in 0..255; for calibrated
            precisions only.
        metadata: What the file says about itself; None to leave that out.
        fine_tuning: For fine-tuned precisions only, whose images are those that are trained on.
    """

    keras_path: Path
    tflite_path: Path
    precision: str
    representative_path: Path | None = None
    metadata: FileMetadata | None = None
    fine_tuning: FineTuning | None = None

    def __post_init__(self) -> None:
        if precision_named(self.precision).fine_tuned != (self.fine_tuning is not None):
            raise ValueError(
                "Expected fine-tuning exactly where the precision needs it. "
                f"Received: precision={self.precision!r}, fine_tuning={self.fine_tuning}."
            )
        if precision_named(self.precision).calibrated != (self.representative_path is not None):
            raise ValueError(
                "Expected representative images exactly where the precision is calibrated. "
                f"Received: precision={self.precision!r}, representative_path={self.representative_path}."
            )

    @property
    def record_path(self) -> Path:
        """Where the finished conversion is recorded."""
        return finished_work.record_path(self.tflite_path, "conversion")

    def key(self) -> dict[str, Any]:
        """Returns all that the converted bytes depend on."""
        images = self.representative_path
        libraries = ("tensorflow", *(("tensorflow-model-optimization", "tf-keras") if self.fine_tuning else ()))
        return {
            "keras_sha256": atomic_file.sha256_of(self.keras_path),
            "representative_sha256": atomic_file.sha256_of(images) if images else None,
            "precision": self.precision,
            "metadata": asdict(self.metadata) if self.metadata else None,
            "fine_tuning": asdict(self.fine_tuning) if self.fine_tuning else None,
            **{library: importlib.metadata.version(library) for library in libraries},
        }

    def is_done(self) -> bool:
        """Tells whether the file on disk is the very one that this job would write."""
        if not (self.keras_path.is_file() and self.tflite_path.is_file()):
            return False
        record = finished_work.read_record(self.record_path, key=self.key())
        return record is not None and record["sha256"] == atomic_file.sha256_of(self.tflite_path)


@dataclass(frozen=True)
class ConversionResult:
    """How a job ended.

    Attributes:
        job: The job.
        error: Why there is no file, in one line; None where there is one.
        skipped: Whether the file was there already.
    """

    job: ConversionJob
    error: str | None = None
    skipped: bool = False


def convert_files(
    jobs: Sequence[ConversionJob], *, workers: int, on_done: Callable[[ConversionResult], None] | None = None
) -> list[ConversionResult]:
    """Converts files in parallel processes and skips those that are there already.

    Whatever ends this function, an interrupt included, no process of its own outlives it and no half-written file is
    left.

    Args:
        jobs: What to convert; no two write the same file.
        workers: How many processes may run at once, at least 1.
        on_done: Called in this process after each job.

    Returns:
        A result for each job, in the order of the jobs.

    Raises:
        ValueError: If `workers` is below 1 or two jobs write one file.
    """
    if workers < 1 or len({job.tflite_path for job in jobs}) < len(jobs):
        raise ValueError(
            f"Expected at least one worker and one job per file. Received: workers={workers}, {len(jobs)} jobs."
        )
    results: dict[int, ConversionResult] = {}
    waiting, running = deque(enumerate(jobs)), dict[int, _Worker]()

    def finish(index: int, result: ConversionResult) -> None:
        results[index] = result
        if on_done:
            on_done(result)

    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, job = waiting.popleft()
                if job.is_done():
                    finish(index, ConversionResult(job, skipped=True))
                else:
                    running[index] = _Worker(job)
            for index in [index for index, worker in running.items() if worker.has_ended()]:
                worker = running.pop(index)
                finish(index, ConversionResult(worker.job, error=worker.error()))
            time.sleep(_POLL_SECONDS if running else 0)
    finally:
        for worker in running.values():
            worker.kill()
    return [results[index] for index in range(len(jobs))]


class _Worker:
    """A running conversion process, its job file and its log."""

    def __init__(self, job: ConversionJob) -> None:
        self.job = job
        # A file from an earlier export must not pass for this one's if the conversion fails.
        if job.record_path.exists():
            job.tflite_path.unlink(missing_ok=True)
            job.record_path.unlink()
        self._folder = tempfile.TemporaryDirectory(prefix="ofar_tf_conversion_")
        self._job_path = Path(self._folder.name) / "job.json"
        self._job_path.write_text(json.dumps(asdict(job), default=str), encoding="utf-8")
        path = os.pathsep.join(filter(None, [str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH")]))
        with (Path(self._folder.name) / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _QUANTIZATION_AWARE if job.fine_tuning else _PLAIN, str(self._job_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path},
            )

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def error(self) -> str | None:
        """Says in one line why the ended process made no file, and removes its folder."""
        with self._folder:
            code = self._process.returncode
            if code == 0 and self.job.tflite_path.is_file():
                return None
            message = _error_path(self._job_path)
            if message.is_file():
                return message.read_text(encoding="utf-8")
            cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
            log = (Path(self._folder.name) / "log.txt").read_text(encoding="utf-8", errors="replace").strip()
            return (
                f"The conversion process ended with {cause}: {_one_line(log.splitlines()[-1] if log else 'no message')}"
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def _error_path(job_path: Path) -> Path:
    return job_path.with_name("error.txt")


def _one_line(message: str) -> str:
    return f"{' '.join(message.split()):.300}"


def _convert_plainly(job: ConversionJob) -> bytes:
    # Imported here because only the worker needs TensorFlow.
    import numpy as np

    from ofar_tf.conversion.converter import convert
    from ofar_tf.models.user_model import read_file

    model = read_file(str(job.keras_path))
    images = np.load(job.representative_path) if job.representative_path else None
    return convert(model, precision=job.precision, representative_images=images)


def _run_job(job_path: Path, convert_job: Callable[[ConversionJob], bytes]) -> None:
    """Converts the one file of a job; the body of the worker process."""
    stored = json.loads(job_path.read_text(encoding="utf-8"))
    paths = {name: Path(stored[name]) for name in ("keras_path", "tflite_path", "representative_path") if stored[name]}
    metadata = from_json(FileMetadata | None, stored["metadata"], where=f"{job_path}: metadata")
    fine_tuning = from_json(FineTuning | None, stored["fine_tuning"], where=f"{job_path}: fine_tuning")
    job = ConversionJob(precision=stored["precision"], metadata=metadata, fine_tuning=fine_tuning, **paths)
    content = convert_job(job)
    if job.metadata:
        content = with_metadata(content, job.metadata)
    with atomic_file.replacing(job.tflite_path) as temporary:
        temporary.write_bytes(content)
    finished_work.write_record(job.record_path, key=job.key(), value={"sha256": atomic_file.sha256_of(job.tflite_path)})


def main(arguments: Sequence[str], *, convert_job: Callable[[ConversionJob], bytes] = _convert_plainly) -> int:
    """Runs the worker process.

    Args:
        arguments: The path of the job file alone.
        convert_job: Makes the content of the file.

    Returns:
        The exit status: 0 where the file was written; otherwise 1, with the reason in `error.txt` beside the job file.
    """
    job_path = Path(arguments[0])
    try:
        _run_job(job_path, convert_job)
    except Exception as error:  # Whatever the converter raises becomes this job's message.
        _error_path(job_path).write_text(_one_line(f"{type(error).__name__}: {error}"), encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
