import dataclasses
import json
import signal
import subprocess

import numpy as np
import pytest

from ofar_tf.conversion import jobs
from ofar_tf.conversion.jobs import ConversionJob, convert_files
from ofar_tf.tflite.metadata import FileMetadata, with_metadata

ABOUT = FileMetadata(name="net", labels=("a", "b", "c"))


@pytest.fixture(scope="module")
def folder(network, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("conversion")
    network.save(folder / "net.keras")
    np.save(folder / "images.npy", images)
    return folder


def jobs_in(folder, out):
    int8 = ConversionJob(folder / "net.keras", out / "net_int8.tflite", "int8", folder / "images.npy", metadata=ABOUT)
    return [ConversionJob(folder / "net.keras", out / "net_float32.tflite", "float32"), int8]


@pytest.fixture(scope="module")
def finished(folder):
    """Two files, each converted by a process of its own, both at once."""
    jobs = jobs_in(folder, folder)
    results = convert_files(jobs, workers=2)
    assert [(result.job, result.error, result.skipped) for result in results] == [(job, None, False) for job in jobs]
    return jobs


@pytest.fixture
def processes(monkeypatch):
    """Collects the processes that are started."""
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(jobs.subprocess, "Popen", Recorded)
    return started


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_the_processes_write_what_a_direct_conversion_writes(finished, converted):
    float32, int8 = finished
    assert float32.tflite_path.read_bytes() == converted("float32").read_bytes()
    assert int8.tflite_path.read_bytes() == with_metadata(converted("int8").read_bytes(), ABOUT)


def test_finished_work_is_skipped(finished, processes):
    seen = []
    results = convert_files(finished, workers=1, on_done=seen.append)
    assert [result.skipped for result in results] == [True, True] and seen == results
    assert not processes


@pytest.mark.parametrize("change", ["the file", "the images", "the network", "the record", "the licence", "nothing"])
def test_work_is_done_only_while_nothing_has_changed(change, finished, tmp_path):
    source, changed = finished[1], jobs_in(tmp_path, tmp_path)[1]
    for old, new in [(getattr(source, name), getattr(changed, name)) for name in ("keras_path", "tflite_path")]:
        new.write_bytes(
            old.read_bytes() + (b"x" if change == f"the {'network' if 'keras' in new.name else 'file'}" else b"")
        )
    np.save(changed.representative_path, np.load(source.representative_path) + (change == "the images"))
    changed.record_path.write_text("{}" if change == "the record" else source.record_path.read_text())
    if change == "the licence":
        changed = dataclasses.replace(changed, metadata=dataclasses.replace(ABOUT, license="MIT"))
    assert changed.is_done() is (change == "nothing")


def test_a_killed_conversion_leaves_no_file_and_does_not_stop_the_others(finished, tmp_path, monkeypatch):
    killed, done = jobs_in(finished[0].keras_path.parent, tmp_path)[1], finished[0]
    # An older file of ours must not survive as if it were the new one.
    killed.tflite_path.write_bytes(b"old")
    killed.record_path.write_text("{}")
    started = subprocess.Popen

    def start_and_kill(*args, **kwargs):
        process = started(*args, **kwargs)
        process.kill()
        return process

    monkeypatch.setattr(jobs.subprocess, "Popen", start_and_kill)
    results = convert_files([killed, done], workers=1)
    assert results[0].error == "The conversion process ended with signal SIGKILL: no message"
    assert results[1].skipped
    assert files_in(tmp_path) == []


def test_an_interrupt_ends_the_running_processes(finished, tmp_path, processes):
    def interrupt(_):
        raise KeyboardInterrupt

    running = jobs_in(finished[0].keras_path.parent, tmp_path)[0]
    with pytest.raises(KeyboardInterrupt):
        convert_files([running, finished[0]], workers=2, on_done=interrupt)
    assert [process.returncode for process in processes] == [-signal.SIGKILL]
    assert files_in(tmp_path) == []


def test_a_refused_conversion_is_the_jobs_one_line_error(tmp_path):
    job = ConversionJob(tmp_path / "missing.keras", tmp_path / "net.tflite", "float32")
    (result,) = convert_files([job], workers=1)
    assert result.error.startswith("ValueError: File not found: filepath=") and "\n" not in result.error
    assert files_in(tmp_path) == []


def write_job(job, path):
    path.write_text(json.dumps(dataclasses.asdict(job), default=str))
    return [str(path)]


def test_the_worker_writes_the_file_and_its_record(finished, tmp_path):
    job = jobs_in(finished[0].keras_path.parent, tmp_path / "out")[0]
    assert jobs.main(write_job(job, tmp_path / "job.json")) == 0
    assert job.is_done()
    assert files_in(tmp_path) == [".net_float32.tflite.conversion.json", "job.json", "net_float32.tflite"]


def test_the_worker_reports_images_that_do_not_fit(finished, tmp_path):
    np.save(tmp_path / "small.npy", np.zeros((2, 8, 8, 3)))
    job = dataclasses.replace(
        finished[1], tflite_path=tmp_path / "net.tflite", representative_path=tmp_path / "small.npy"
    )
    assert jobs.main(write_job(job, tmp_path / "job.json")) == 1
    error = (tmp_path / "error.txt").read_text()
    assert error == ("ValueError: Expected representative images of shape [N, 16, 16, 3]. Received: (2, 8, 8, 3).")
    assert not job.tflite_path.exists()


@pytest.mark.parametrize(("workers", "copies"), [(0, 1), (1, 2)])
def test_no_workers_and_two_jobs_for_one_file_are_refused(workers, copies, tmp_path):
    job = ConversionJob(tmp_path / "net.keras", tmp_path / "net.tflite", "float32")
    with pytest.raises(ValueError, match="Expected at least one worker and one job per file"):
        convert_files([job] * copies, workers=workers)


@pytest.mark.parametrize(("precision", "images"), [("int8", None), ("float32", "images.npy")])
def test_a_job_has_images_exactly_if_its_precision_is_calibrated(precision, images, tmp_path):
    with pytest.raises(ValueError, match="Expected representative images exactly where the precision is calibrated"):
        ConversionJob(tmp_path / "net.keras", tmp_path / "net.tflite", precision, images and tmp_path / images)
