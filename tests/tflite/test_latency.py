import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ofar_tf.family import timing
from ofar_tf.family.timing import time_files
from ofar_tf.tflite import latency as latency_module
from ofar_tf.tflite.latency import Latency, measure_latencies, merged, this_machine
from ofar_tf.tflite.litert_benchmark import figures


def test_litert_times_a_file_on_this_machine(converted):
    (latency,) = measure_latencies([converted("float32")], threads=1, seconds=0.02, rounds=1)
    assert latency.device == this_machine() and latency.device.endswith(" cores (this machine)")
    assert latency.threads == 1 and latency.runs >= 10
    # Three convolutions of 16 x 16 pixels: not even a loaded machine takes a second, and nothing takes no time.
    assert 1e-4 < latency.median_ms <= latency.p90_ms <= latency.p95_ms < 1000


def test_a_file_that_cannot_be_timed_is_named_in_one_line(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(b"no model")
    (failed,) = measure_latencies([path], rounds=1)
    assert isinstance(failed, RuntimeError)
    assert re.search(rf"^LiteRT's benchmark failed on {path}: \w+Error: .+$", str(failed))


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
        {"rounds": 0},
        {"spread_ms": (2.0, 3.0)},
        {"spread_ms": (0.0, 3.0)},
        {"device": "a\x1b[2J"},
    ],
)
def test_a_latency_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ValueError, match="Expected"):
        dataclasses.replace(Latency("phone", 1, 1.0, 1.5, 2.0, 50), **changes)


@pytest.mark.parametrize("settings", [{"threads": 0}, {"seconds": 0.0}, {"rounds": 0}])
def test_a_measurement_that_makes_no_sense_is_refused(settings, tmp_path):
    with pytest.raises(ValueError, match="Expected at least one thread and some time"):
        measure_latencies([tmp_path], **settings)


def test_of_two_measurements_at_one_place_the_first_counts():
    old, phone, new = Latency("laptop", 1, 9.0), Latency("phone", 1, 3.0), Latency("laptop", 1, 2.0)
    assert merged([new], [old, phone]) == (new, phone)


def test_files_are_timed_in_rounds_each_of_which_begins_elsewhere(monkeypatch):
    asked = []

    def one_round(paths, threads, seconds):
        asked.append([path.name for path in paths])
        base = {"a": 4.0, "b": 2.0, "c": 3.0}
        slower = [0.0, 8.0, 0.1, 0.2, 0.3][len(asked) - 1]  # The machine is busy in the second round.
        medians = [base[path.name] + slower for path in paths]
        return [{"median_ms": ms, "p90_ms": ms + 1, "p95_ms": ms + 2, "runs": 10} for ms in medians]

    monkeypatch.setattr(latency_module, "_one_round", one_round)
    timed = measure_latencies([Path("a"), Path("b"), Path("c")], rounds=5)
    assert [names[0] for names in asked] == ["a", "a", "b", "b", "c"]
    assert all(sorted(names) == ["a", "b", "c"] for names in asked)
    assert [each.median_ms for each in timed] == pytest.approx([4.2, 2.2, 3.2])
    assert timed[0].spread_ms == pytest.approx((4.0, 12.0)) and timed[0].rounds == 5 and timed[0].runs == 50
    assert (timed[0].p90_ms, timed[0].p95_ms) == pytest.approx((5.2, 6.2))


def test_a_file_that_fails_or_ends_the_process_leaves_the_others(converted, tmp_path, monkeypatch):
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"no model")
    first, failed, last = measure_latencies([converted("float32"), bad, converted("int8")], seconds=0.02, rounds=2)
    assert (first.rounds, last.rounds) == (2, 2) and first.spread_ms[0] <= first.median_ms <= first.spread_ms[1]
    assert isinstance(failed, RuntimeError) and str(failed).startswith(f"LiteRT's benchmark failed on {bad}: ")

    def killed(command, **_):
        text = "" if "killer" in command[6] else '{"median_ms": 1, "p90_ms": 1, "p95_ms": 1, "runs": 1}\n'
        Path(command[5]).write_text(text)
        return SimpleNamespace(returncode=-11, stderr="", stdout="")

    monkeypatch.setattr(latency_module.subprocess, "run", killed)
    killer, survivor = measure_latencies(["killer", "survivor"], rounds=1)
    assert str(killer) == "LiteRT's benchmark failed on killer: status -11: no message" and survivor.median_ms == 1


def test_files_whose_rounds_overlap_are_not_told_apart():
    fast, near, slow = (
        Latency("laptop", 1, ms, rounds=5, spread_ms=(least, most))
        for ms, least, most in ((2.0, 1.9, 2.2), (2.1, 2.0, 2.4), (3.0, 2.5, 3.1))
    )
    assert fast.may_equal(near) and near.may_equal(fast)
    assert not near.may_equal(slow) and not fast.may_equal(slow)
    assert not fast.may_equal(Latency("laptop", 1, 2.0))


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (
            "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Intel(R)  Xeon(R) CPU @ 2.00GHz\n",
            "Intel(R) Xeon(R) CPU @ 2.00GHz",
        ),
        ("processor : 0\nHardware : Qualcomm SM8650\n", "Qualcomm SM8650"),
        ("processor : 0\nCPU implementer : 0x41\nCPU part : 0xd0c\nModel : Raspberry Pi 5\n", "Raspberry Pi 5"),
        ("processor : 0\nCPU implementer : 0x41\nCPU part : 0xd0c\n", "cpu implementer 0x41 cpu part 0xd0c"),
        ("model : 6\nmodel name : unknown\n", ""),
        ("", ""),
    ],
)
def test_the_name_of_a_machine_is_that_of_its_processor(lines, name, tmp_path):
    (tmp_path / "cpuinfo").write_text(lines)
    assert " ".join(latency_module._from_cpuinfo(tmp_path / "cpuinfo").split()) == name


def test_a_system_that_tells_nothing_has_the_name_of_its_architecture(tmp_path):
    assert latency_module._from_cpuinfo(tmp_path / "missing") == ""
    assert re.fullmatch(r"\S.*\S, \d+ cores \(this machine\)", this_machine())


@pytest.fixture
def count(monkeypatch):
    """Replaces the benchmark; each file takes a millisecond more than the one before."""
    calls = []

    def measure(paths, *, threads, rounds):
        calls.extend(path.name for path in paths)
        first = len(calls) - len(paths)
        return [
            RuntimeError("It would not run.")
            if "bad" in path.name
            else Latency(this_machine(), threads, first + 1.0 + i)
            for i, path in enumerate(paths)
        ]

    monkeypatch.setattr(timing, "measure_latencies", measure)
    return calls


def test_each_file_is_timed_once_however_often_an_export_is_resumed(count, make_entry, tmp_path):
    (tmp_path / "a").mkdir()
    entry = make_entry("a", macs=1, top1=0.5)
    ((first,), (second,)) = ([*time_files([entry], tmp_path, threads=2)[0].latency] for _ in range(2))
    assert first == second == Latency(this_machine(), 2, 1.0)
    time_files([entry], tmp_path, threads=1)
    time_files([dataclasses.replace(entry, sha256="1" * 64)], tmp_path, threads=2)
    assert len(count) == 3


def test_a_new_file_is_timed_in_the_same_rounds_as_the_others(count, make_entry, tmp_path):
    entries = [make_entry(name, macs=1, top1=0.5) for name in "ab"]
    for entry in entries:
        (tmp_path / entry.id).mkdir()
    time_files(entries[:1], tmp_path, threads=1)
    timed = time_files(entries, tmp_path, threads=1)
    assert count == ["a_float32.tflite", "a_float32.tflite", "b_float32.tflite"]
    assert [entry.latency[0].median_ms for entry in timed] == [2.0, 3.0]


def test_what_was_measured_before_of_the_same_content_is_kept(count, make_entry, tmp_path):
    (tmp_path / "a").mkdir()
    phone, old = Latency("phone", 4, 8.0), Latency(this_machine(), 1, 99.0)
    entry = make_entry("a", macs=1, top1=0.5)
    known = {entry.sha256: (phone, old)}
    assert set(time_files([entry], tmp_path, threads=1, known=known)[0].latency) == {
        phone,
        Latency(this_machine(), 1, 1.0),
    }
    changed = dataclasses.replace(entry, sha256="1" * 64)
    assert time_files([changed], tmp_path, threads=0, known=known)[0].latency == ()


def test_a_file_that_does_not_run_or_cannot_be_timed_stops_nothing(count, make_entry, tmp_path):
    said = []
    for name in ("a", "bad"):
        (tmp_path / name).mkdir()
    checks = dataclasses.replace(make_entry("a", macs=1, top1=0.5, reasons=("It breaks.",)).checks, runs=False)
    dead = make_entry("a", macs=1, top1=0.5, metrics=None, checks=checks)
    timed = time_files([dead, make_entry("bad", macs=1, top1=0.5)], tmp_path, threads=1, on_done=said.append)
    assert [entry.latency for entry in timed] == [(), ()] and count == ["bad_float32.tflite"]
    assert said == ["timed a_float32", "It would not run."]
