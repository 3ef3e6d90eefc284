import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

import numpy as np
import pytest

from ofar_tf.conversion.jobs import ConversionJob, jobs_from_line, jobs_to_line
from ofar_tf.conversion.open_network import open_network
from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
from ofar_tf.conversion.worker import run_jobs
from ofar_tf.conversion.worker_process import WorkerProcess
from ofar_tf.files.folder_lock import FolderLock
from ofar_tf.tflite.metadata import FileMetadata, with_metadata

ABOUT = FileMetadata(name="net", labels=("a", "b", "c"))


def test_jobs_come_through_a_line_as_they_are(tmp_path):
    jobs = [
        ConversionJob(tmp_path / "ü.keras", tmp_path / "a.tflite", "float32", metadata=ABOUT),
        ConversionJob(tmp_path / "ü.keras", tmp_path / "b.tflite", "int8", tmp_path / "i.npy"),
        ConversionJob(tmp_path / "ü.keras", tmp_path / "c", "qat", tmp_path / "i.npy", fine_tuning=FineTuning(seed=3)),
    ]
    line = jobs_to_line(jobs)
    assert "\n" not in line and jobs_from_line(line) == jobs


@pytest.fixture
def jobs(network, make_network, images, tmp_path):
    """Two networks, each in two precisions, the second of other weights."""
    np.save(tmp_path / "images.npy", images)
    jobs = []
    for seed, model in enumerate([network, make_network(seed=1)]):
        model.save(tmp_path / f"{seed}.keras")
        int8 = (tmp_path / f"{seed}_int8.tflite", "int8", tmp_path / "images.npy")
        jobs.append(
            [
                ConversionJob(tmp_path / f"{seed}.keras", tmp_path / f"{seed}.tflite", "float32"),
                ConversionJob(tmp_path / f"{seed}.keras", *int8, metadata=ABOUT),
            ]
        )
    return jobs


def test_the_files_of_a_shared_saved_model_are_those_of_a_conversion_alone(jobs, converted):
    second, first = jobs  # The one of the fixture comes second: what was before must not show.
    assert [*run_jobs(first[:1], open_network), *run_jobs(second, open_network)] == [None] * 3
    float32, int8 = second
    assert float32.tflite_path.read_bytes() == converted("float32").read_bytes()
    assert int8.tflite_path.read_bytes() == with_metadata(converted("int8").read_bytes(), ABOUT)


def test_images_that_do_not_fit_cost_their_file_only(jobs, tmp_path):
    np.save(tmp_path / "small.npy", np.zeros((2, 8, 8, 3)))
    float32, int8 = jobs[0]
    small = dataclasses.replace(int8, representative_path=tmp_path / "small.npy")
    assert list(run_jobs([small, float32], open_network)) == [
        "ValueError: Expected representative images of shape [N, 16, 16, 3]. Received: (2, 8, 8, 3).",
        None,
    ]
    assert not small.tflite_path.exists() and float32.tflite_path.exists()


def test_a_network_that_cannot_be_read_costs_its_files_one_line_each(jobs, tmp_path):
    (tmp_path / "0.keras").write_bytes(b"half")
    first, second = run_jobs(jobs[0], open_network)
    assert first == second and "\n" not in first and first.startswith("ValueError: ")
    (tmp_path / "0.keras").unlink()
    first, second = run_jobs(jobs[0], open_network)
    assert first == second and "\n" not in first
    assert first.startswith("FileNotFoundError: Expected a saved Keras model. Received: ")
    assert not list(tmp_path.glob("*.tflite"))


def test_what_fails_when_a_network_is_left_is_no_files_fault(jobs):
    @contextmanager
    def failing_at_the_end(jobs):
        yield lambda job: b"content"
        raise OSError("no room for tidying up")

    assert list(run_jobs([jobs[0][0]], failing_at_the_end)) == [None]


# A caller that starts a worker in a folder it holds, and waits to be killed.
CALLER = """
import sys, time
from pathlib import Path
from ofar_tf.conversion import worker_process
from ofar_tf.files.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
worker_process.sys.executable = sys.argv[2]
worker = worker_process.WorkerProcess(worker_process.PLAIN, heirs=lock.for_heirs())
print(worker._process.pid, flush=True)
time.sleep(100)
"""


def killed_caller(folder, program):
    """Starts a caller whose workers run a program, kills it, and returns the number of the orphan."""
    caller = [sys.executable, "-c", CALLER, str(folder), str(program)]
    with subprocess.Popen(caller, stdout=subprocess.PIPE, text=True) as process:
        orphan = int(process.stdout.readline())
        process.kill()
    return orphan


def wait_until(holds, *, seconds):
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


def is_free(folder):
    try:
        FolderLock(folder).release()
    except ValueError:
        return False
    return True


def test_nobody_works_in_the_folder_of_a_killed_export_before_its_orphans_have_ended(tmp_path):
    busy = tmp_path / "busy"  # It is deep in a conversion and sees nothing of its caller's end.
    busy.write_text("#!/bin/sh\nexec sleep 100\n")
    busy.chmod(0o755)
    orphan = killed_caller(tmp_path / "export", busy)
    try:
        with pytest.raises(ValueError, match="Received: one that does"):
            FolderLock(tmp_path / "export")
    finally:
        os.kill(orphan, signal.SIGKILL)
    assert wait_until(lambda: is_free(tmp_path / "export"), seconds=10)


def test_a_worker_ends_with_its_caller(tmp_path):
    killed_caller(tmp_path / "export", sys.executable)
    assert wait_until(lambda: is_free(tmp_path / "export"), seconds=60)


def test_what_a_worker_had_in_temporary_files_goes_with_it_however_it_ends(tmp_path, monkeypatch):
    module = "import sys, tempfile; tempfile.mkdtemp(); tempfile.mkstemp(); print('null', flush=True); sys.stdin.read()"
    (tmp_path / "leaves_files.py").write_text(module)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for kill in (True, False):
        worker = WorkerProcess("leaves_files")
        assert worker.answer() is None
        assert any((tmp_path / "temporary").rglob("tmp*"))
        if kill:
            worker.kill()
        worker.end()
        assert list((tmp_path / "temporary").iterdir()) == []
