import os

import pytest
import tensorflow as tf

from ofar_tf.devices import processors
from ofar_tf.devices.processors import share_cores, usable_cores


@pytest.mark.parametrize(
    ("now", "before", "usable"),
    [
        (None, None, 8),
        ("max 100000\n", None, 8),
        ("200000 100000\n", None, 2),
        ("150000 100000\n", None, 2),
        ("1600000 100000\n", None, 8),
        (None, ("-1\n", "100000\n"), 8),
        (None, ("300000\n", "100000\n"), 3),
    ],
)
def test_the_cores_that_may_be_used_are_the_machines_or_the_containers(monkeypatch, tmp_path, now, before, usable):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    files = [tmp_path / name for name in ("max", "quota", "period")]
    for file, text in zip(files, (now, *(before or (None, None))), strict=True):
        if text is not None:
            file.write_text(text)
    monkeypatch.setattr(processors, "_QUOTA", files[:1])
    monkeypatch.setattr(processors, "_QUOTA_BEFORE", files[1:])
    assert usable_cores() == usable


def test_a_system_without_affinities_has_the_cores_of_the_machine(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(processors, "_QUOTA", [tmp_path / "none"])
    monkeypatch.setattr(processors, "_QUOTA_BEFORE", [tmp_path / "none"])
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.fixture
def threads(monkeypatch):
    """Keeps the numbers of threads that TensorFlow is told: it has its own since the first test."""
    told = []
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", told.append)
    monkeypatch.setattr(tf.config.threading, "set_inter_op_parallelism_threads", told.append)
    monkeypatch.setattr(processors, "is_accelerated", lambda: False)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS", raising=False)
    return told


@pytest.mark.parametrize(("cores", "expected"), [(1, [1, 1]), (2, [1, 2]), (3, [2, 3]), (8, [4, 8])])
def test_an_operator_takes_half_of_the_cores_while_as_many_run_as_there_are_cores(
    monkeypatch, threads, cores, expected
):
    monkeypatch.setattr(processors, "usable_cores", lambda: cores)
    share_cores()
    assert threads == expected


@pytest.mark.parametrize("name", ["TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"])
def test_threads_that_were_chosen_stay(monkeypatch, threads, name):
    monkeypatch.setenv(name, "2")
    share_cores()
    assert not threads


def test_an_accelerators_host_keeps_its_threads(monkeypatch, threads):
    monkeypatch.setattr(processors, "is_accelerated", lambda: True)
    share_cores()
    assert not threads


def test_a_process_in_which_tensorflow_computes_already_keeps_its_threads(monkeypatch):
    monkeypatch.setattr(processors, "is_accelerated", lambda: False)
    monkeypatch.setattr(processors, "usable_cores", lambda: 14)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    before = tf.config.threading.get_intra_op_parallelism_threads()
    tf.zeros([1]).numpy()
    share_cores()
    assert tf.config.threading.get_intra_op_parallelism_threads() == before != 7
