import dataclasses

import numpy as np
import pytest

from ofar_tf.family import timing
from ofar_tf.family.timing import time_files
from ofar_tf.tflite.latency import Latency, measure_latency, merged, this_machine
from ofar_tf.tflite.litert_benchmark import figures


def test_litert_times_a_file_on_this_machine(converted):
    latency = measure_latency(converted("float32"), threads=1, seconds=0.02)
    assert latency.device == this_machine() and latency.device.endswith(" cores (this machine)")
    assert latency.threads == 1 and latency.runs >= 10
    # Three convolutions of 16 x 16 pixels: not even a loaded machine takes a second, and nothing takes no time.
    assert 1e-4 < latency.median_ms <= latency.p90_ms <= latency.p95_ms < 1000


def test_a_file_that_cannot_be_timed_is_named_in_one_line(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(b"no model")
    with pytest.raises(RuntimeError, match=rf"^LiteRT's benchmark failed on {path}: \w+Error: .+$"):
        measure_latency(path)


def test_the_figures_are_the_percentiles_of_all_runs():
    durations = sorted(np.random.default_rng(0).uniform(1, 2, 101))
    assert figures(durations) == {
        "median_ms": pytest.approx(np.percentile(durations, 50)),
        "p90_ms": pytest.approx(np.percentile(durations, 90)),
        "p95_ms": pytest.approx(np.percentile(durations, 95)),
        "runs": 101,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"device": " "},
        {"threads": 0},
        {"runs": 0},
        {"median_ms": 0.0},
        {"median_ms": float("nan")},
        {"p90_ms": 0.5},
        {"p95_ms": 1.0, "p90_ms": 2.0},
        {"p95_ms": float("inf")},
    ],
)
def test_a_latency_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ValueError, match="Expected"):
        dataclasses.replace(Latency("phone", 1, 1.0, 1.5, 2.0, 50), **changes)


@pytest.mark.parametrize("settings", [{"threads": 0}, {"seconds": 0.0}])
def test_a_measurement_that_makes_no_sense_is_refused(settings, tmp_path):
    with pytest.raises(ValueError, match="Expected at least one thread and some time"):
        measure_latency(tmp_path, **settings)


def test_of_two_measurements_at_one_place_the_first_counts():
    old, phone, new = Latency("laptop", 1, 9.0), Latency("phone", 1, 3.0), Latency("laptop", 1, 2.0)
    assert merged([new], [old, phone]) == (new, phone)


@pytest.fixture
def count(monkeypatch):
    """Replaces the benchmark; each call takes a millisecond more than the one before."""
    calls = []

    def measure(path, *, threads):
        if "bad" in path.name:
            raise RuntimeError("It would not run.")
        calls.append(path.name)
        return Latency(this_machine(), threads, float(len(calls)))

    monkeypatch.setattr(timing, "measure_latency", measure)
    return calls


def test_each_file_is_timed_once_however_often_an_export_is_resumed(count, make_entry, tmp_path):
    (tmp_path / "a").mkdir()
    entry = make_entry("a", macs=1, top1=0.5)
    ((first,), (second,)) = ([*time_files([entry], tmp_path, threads=2)[0].latency] for _ in range(2))
    assert first == second == Latency(this_machine(), 2, 1.0)
    time_files([entry], tmp_path, threads=1)
    time_files([dataclasses.replace(entry, sha256="1" * 64)], tmp_path, threads=2)
    assert len(count) == 3


def test_what_an_earlier_manifest_says_of_the_same_file_is_kept(count, make_entry, tmp_path):
    (tmp_path / "a").mkdir()
    phone, old = Latency("phone", 4, 8.0), Latency(this_machine(), 1, 99.0)
    entry = make_entry("a", macs=1, top1=0.5)
    earlier = dataclasses.replace(entry, latency=(phone, old))
    assert set(time_files([entry], tmp_path, threads=1, earlier=[earlier])[0].latency) == {
        phone,
        Latency(this_machine(), 1, 1.0),
    }
    changed = dataclasses.replace(entry, sha256="1" * 64)
    assert time_files([changed], tmp_path, threads=0, earlier=[earlier])[0].latency == ()


def test_a_file_that_does_not_run_or_cannot_be_timed_stops_nothing(count, make_entry, tmp_path):
    said = []
    for name in ("a", "bad"):
        (tmp_path / name).mkdir()
    checks = dataclasses.replace(make_entry("a", macs=1, top1=0.5, reasons=("It breaks.",)).checks, runs=False)
    dead = make_entry("a", macs=1, top1=0.5, metrics=None, checks=checks)
    timed = time_files([dead, make_entry("bad", macs=1, top1=0.5)], tmp_path, threads=1, on_done=said.append)
    assert [entry.latency for entry in timed] == [(), ()] and count == []
    assert said == ["timed a_float32", "It would not run."]
