import dataclasses
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ofar_tf.conversion import lanes, worker_process
from ofar_tf.conversion.convert_files import convert_files
from ofar_tf.conversion.jobs import ConversionJob
from ofar_tf.conversion.worker_process import PLAIN, QUANTIZATION_AWARE
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
    """Two files of one network, converted by one process."""
    jobs = jobs_in(folder, folder)
    results = convert_files(jobs, workers=2, versions={"tensorflow": "today's"})
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

    monkeypatch.setattr(worker_process.subprocess, "Popen", Recorded)
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


def test_what_was_converted_before_keeps_the_versions_that_made_it(finished):
    results = convert_files(finished, workers=1, versions={"tensorflow": "tomorrow's"})
    assert [result.versions for result in results] == [{"tensorflow": "today's"}] * 2


@pytest.mark.parametrize("change", ["the file", "the images", "the network", "the record", "the licence", "nothing"])
def test_work_is_done_only_while_nothing_has_changed(change, finished, tmp_path):
    source, changed = finished[1], jobs_in(tmp_path, tmp_path)[1]
    for old, new in [(getattr(source, name), getattr(changed, name)) for name in ("keras_path", "tflite_path")]:
        new.write_bytes(
            old.read_bytes() + (b"x" if change == f"the {'network' if 'keras' in new.name else 'file'}" else b"")
        )
    np.save(changed.representative_path, np.load(source.representative_path) + (change == "the images"))
    record = source.work().record.read_text()
    changed.work().record.write_text("{}" if change == "the record" else record)
    if change == "the licence":
        changed = dataclasses.replace(changed, metadata=dataclasses.replace(ABOUT, license="MIT"))
    assert (changed.work().finished() is not None) is (change == "nothing")


def test_a_killed_conversion_leaves_no_file_and_does_not_stop_the_others(finished, tmp_path, monkeypatch):
    killed, done = jobs_in(finished[0].keras_path.parent, tmp_path)[1], finished[0]
    # An older file of ours must not survive as if it were the new one.
    killed.tflite_path.write_bytes(b"old")
    killed.work().record.write_text("{}")
    started = subprocess.Popen

    def start_and_kill(*args, **kwargs):
        process = started(*args, **kwargs)
        process.kill()
        return process

    monkeypatch.setattr(worker_process.subprocess, "Popen", start_and_kill)
    results = convert_files([killed, done], workers=1)
    assert results[0].error == "The conversion process ended with signal SIGKILL: no message"
    assert results[1].skipped
    assert files_in(tmp_path) == []


# Stands in for a worker: it answers for each file by its name, and dies where that says so.
FAKE = """
import json, os, sys, time
for line in sys.stdin:
    for job in json.loads(line):
        name = os.path.basename(job["tflite_path"])
        if "dies" in name:
            print("the last words", file=sys.stderr, flush=True)
            os._exit(3)
        while "hangs" in name:
            time.sleep(1)
        open(job["tflite_path"], "w").write(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}")
        print(json.dumps("no" if "fails" in name else None), flush=True)
"""


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Starts the fake in the place of every worker, and makes jobs for it: networks by the names of their files."""
    start = subprocess.Popen
    started, processes = [], []

    def start_fake(command, **options):
        processes.append(start([sys.executable, "-S", "-c", FAKE], **options))
        started.append(command[-1])
        return processes[-1]

    monkeypatch.setattr(worker_process.subprocess, "Popen", start_fake)

    def jobs(*networks):
        for index, names in enumerate(networks):
            (tmp_path / f"{index}.keras").write_text(str(index))
            for name in names:
                yield ConversionJob(tmp_path / f"{index}.keras", tmp_path / f"{index}_{name}", "float32")

    jobs.started, jobs.processes = started, processes
    return jobs


def test_one_process_takes_network_after_network_and_is_renewed_after_a_few(fake, monkeypatch):
    monkeypatch.setitem(lanes.NETWORKS_PER_WORKER, PLAIN, 2)
    jobs = list(fake(["a", "b"], ["a", "b"], ["a"]))
    results = convert_files(jobs, workers=1)
    assert [result.error for result in results] == [None] * 5
    made_by = [job.tflite_path.read_text().split()[0] for job in jobs]
    assert len(set(made_by[:4])) == 1 and made_by[4] != made_by[0]
    assert fake.started == [PLAIN, PLAIN]


def test_a_network_is_converted_while_later_ones_are_on_their_way(fake):
    given = list(fake(["a"], ["a"], ["a"]))

    def on_their_way():
        yield from given[:2]
        until = time.monotonic() + 60
        while not given[0].tflite_path.exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert given[0].tflite_path.exists()
        yield given[2]

    assert [result.error for result in convert_files(on_their_way(), workers=1)] == [None] * 3


def test_a_process_that_dies_costs_one_file_and_not_those_behind_it(fake):
    jobs = list(fake(["a", "dies", "b", "fails"], ["a"]))
    errors = {result.job.tflite_path.name: result.error for result in convert_files(jobs, workers=1)}
    assert errors == {
        "0_a": None,
        "0_dies": "The conversion process ended with exit status 3: the last words",
        "0_b": None,
        "0_fails": "no",
        "1_a": None,
    }


def test_an_interrupt_ends_the_running_processes(fake):
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_files(list(fake(["a"], ["hangs"])), workers=2, on_done=interrupt)
    ended = [process.returncode for process in fake.processes]
    assert -signal.SIGKILL in ended and None not in ended


def test_conversions_see_no_gpu_but_fine_tuning_does(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    seen = [
        worker_process._environment(module, scratch="s")["CUDA_VISIBLE_DEVICES"]
        for module in (PLAIN, QUANTIZATION_AWARE)
    ]
    assert seen == ["-1", "5"]


@pytest.mark.parametrize(("workers", "copies"), [(0, 1), (1, 2)])
def test_no_workers_and_two_jobs_for_one_file_are_refused(workers, copies, tmp_path):
    job = ConversionJob(tmp_path / "net.keras", tmp_path / "net.tflite", "float32")
    with pytest.raises(ValueError, match="Expected at least one worker and one job per file"):
        convert_files([job] * copies, workers=workers)


@pytest.mark.parametrize(("precision", "images"), [("int8", None), ("float32", "images.npy")])
def test_a_job_has_images_exactly_if_its_precision_is_calibrated(precision, images, tmp_path):
    with pytest.raises(ValueError, match="Expected representative images exactly where the precision is calibrated"):
        ConversionJob(tmp_path / "net.keras", tmp_path / "net.tflite", precision, images and tmp_path / images)
