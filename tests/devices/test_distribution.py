"""Two devices, and two processes, against one device; each run is a command of its own.

BatchNorm sees the share of a device, so the same numbers come from one device that runs a batch in two parts.
"""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.devices.distribution import LOGICAL_CPUS, Distribution, LostProcessError, SameWeights, distribute

TRAIN = (
    "--dataset=fashion_mnist_mini",
    "--train_split=train[:96]",
    "--eval_split=test[:50]",
    "--augmentation=pad_and_crop",
    "--model=distributed_model:build",
    "--pruning_rates=0.0,0.5",
    "--min_channels=2",
    "--channel_round_to=1",
    "--resolutions=20,16",
    "--search_resolutions=20,16",
    "--search_execution=masked",
    "--epochs=3",
    "--search_epochs=1",
    "--batch_size=32",
    "--weight_decay=1e-3",
    "--clip_norm=1.0",
    "--ema_momentum=0.9",
    "--eval_batch_size=16",
    "--calibration_images=50",
    "--validation_every=2",
)
LAST_EPOCH_OF_THE_PROCESSES = 2


def start(name: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment}
    command = [sys.executable, "-m", f"ofar_tf.{name}", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_processes(*arguments: str) -> list[subprocess.Popen[str]]:
    """Starts two that train together; the second is killed after a few epochs."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0)), second.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (first, second)]
    tasks = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}} for index in range(2)]
    death = {"DIES_IN_EPOCH": str(LAST_EPOCH_OF_THE_PROCESSES + 1)}
    return [
        start(
            "train", *arguments, "--distribution=multi_worker", TF_CONFIG=json.dumps(task), **(death if index else {})
        )
        for index, task in enumerate(tasks)
    ]


def checkpoint(run: Path, *, epoch: int) -> dict[str, np.ndarray]:
    with np.load(run / "checkpoints" / f"epoch_{epoch:05d}.npz") as archive:
        return {name: archive[name] for name in archive.files if name != "sha256"}


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_same_training(run: Path, reference: Path, *, epoch: int) -> None:
    found, expected = checkpoint(run, epoch=epoch), checkpoint(reference, epoch=epoch)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=2e-6, err_msg=name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trains on one device (`one`), on two (`mirrored`), and in two processes, `processes` as one's death left it."""
    folder = tmp_path_factory.mktemp("distribution")
    one = start("train", *TRAIN, "--gradient_accumulation=2", f"--run_dir={folder / 'one'}")
    for index, process in enumerate(start_processes(*TRAIN, f"--run_dir={folder / 'processes'}")):
        output, errors = process.communicate(timeout=900)
        (folder / f"process_{index}.json").write_text(json.dumps([process.returncode, output, errors]))
    shutil.copytree(folder / "processes", folder / "resumed")
    mirrored = [
        start("train", *TRAIN, "--distribution=mirrored", f"--run_dir={folder / name}", **{LOGICAL_CPUS: "2"})
        for name in ("mirrored", "resumed")
    ]
    for process in (one, *mirrored):
        _, errors = process.communicate(timeout=900)
        assert process.returncode == 0, errors
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [2, 3])
def test_two_devices_train_as_one_does_with_a_batch_in_two_parts(runs, epoch):
    assert_same_training(runs / "mirrored", runs / "one", epoch=epoch)


@pytest.mark.slow
def test_two_processes_train_as_one_device_does_with_a_batch_in_two_parts(runs):
    assert_same_training(runs / "processes", runs / "one", epoch=LAST_EPOCH_OF_THE_PROCESSES)


@pytest.mark.slow
def test_what_two_processes_began_two_devices_of_one_machine_go_on_with(runs):
    assert_same_training(runs / "resumed", runs / "one", epoch=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mirrored", "processes", "resumed"])
def test_several_devices_log_and_measure_the_same_as_one(runs, name):
    found, expected = rows(runs / name), rows(runs / "one")
    assert len(found) == len(expected) - (2 if name == "processes" else 0)
    for row, reference in zip(found, expected, strict=False):
        assert row["images"] == reference["images"] == "50"
        for column in ("teacher_loss", "student_loss", "top1", "top5"):
            # Weights differ in their last digits, which may turn one answer.
            assert float(row[column]) == pytest.approx(float(reference[column]), abs=0.021 if "top" in column else 1e-5)


@pytest.mark.slow
def test_a_process_that_loses_another_says_so_and_ends(runs):
    (status, _, errors), (killed, *_) = (json.loads((runs / f"process_{i}.json").read_text()) for i in range(2))
    assert (status, killed) == (1, -9)
    (line,) = [line for line in errors.splitlines() if line.startswith("Error: ")]
    assert line.startswith("Error: Expected all 2 processes to work. Received: one that has ended")


@pytest.mark.slow
def test_one_process_writes_for_all(runs):
    assert len(json.loads((runs / "processes" / "environment.json").read_text())) == 1


@pytest.mark.slow
def test_evaluation_gives_the_same_bits_on_any_number_of_devices(runs):
    tables = []
    for kind, devices in (("none", "1"), ("mirrored", "3")):
        copy = shutil.copytree(runs / "one", runs / f"evaluated_{kind}")
        process = start("evaluate", f"--run_dir={copy}", f"--distribution={kind}", **{LOGICAL_CPUS: devices})
        _, errors = process.communicate(timeout=900)
        assert process.returncode == 0, errors
        tables.append((copy / "subnets.csv").read_bytes())
    assert tables[0] == tables[1]


def test_a_batch_that_devices_cannot_share_equally_is_refused():
    two = Distribution(FakeStrategy(2))
    two.check_batch(12, parts=3)
    with pytest.raises(
        ValueError, match=r"Expected a --batch_size.* that 2 devices and --gradient_acc.* batch_size=10"
    ):
        two.check_batch(10, parts=3)


class FakeStrategy:
    def __init__(self, replicas):
        self.num_replicas_in_sync = replicas


@pytest.mark.parametrize(
    "config",
    [
        None,
        "worker",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_missing_or_senseless_cluster_is_refused(monkeypatch, config):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match=r"^Expected the environment variable TF_CONFIG, as .* Received: .*\.$"):
        distribute("multi_worker")


@pytest.mark.parametrize("text", ["two", "0", "-1"])
def test_a_number_of_logical_devices_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv(LOGICAL_CPUS, text)
    with pytest.raises(ValueError, match=rf"^Expected {LOGICAL_CPUS} as a whole number .* Received: {text}\.$"):
        distribute("mirrored")


def test_a_machine_without_a_tpu_is_told_so():
    with pytest.raises(ValueError, match=r"Expected a TPU for --distribution=tpu\. Received: "):
        distribute("tpu")


def test_one_device_is_no_distribution():
    alone = distribute("none")
    assert (alone.replicas, alone.writes, alone.part) == (1, True, (0, 1))
    batches = tf.data.Dataset.range(4)
    assert alone.share_out(lambda part: batches, batch_size=4) is batches


def test_processes_with_different_weights_do_not_go_on(monkeypatch):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd")
    model.optimizer.build(model.trainable_variables)
    check = SameWeights(Distribution(processes=2))
    check.set_model(model)
    digests = []
    monkeypatch.setattr(Distribution, "_total", lambda self, value: digests.append(value) or 2 * value)
    check.on_train_begin()
    # Now the other process stays where this one was.
    monkeypatch.setattr(Distribution, "_total", lambda self, value: value + digests[0])
    check.on_epoch_end(0)
    model.weights[0].assign_add([[0.0], [1e-6]])
    with pytest.raises(LostProcessError, match="Expected the same weights in all 2 processes"):
        check.on_epoch_end(1)


def test_only_the_end_of_another_process_is_explained():
    lost = tf.errors.UnavailableError(None, None, "Socket closed")
    with pytest.raises(LostProcessError, match="Expected all 2 processes to work"), Distribution(processes=2).watched():
        raise lost
    with pytest.raises(tf.errors.UnavailableError), Distribution().watched():
        raise lost
    with pytest.raises(ZeroDivisionError), Distribution(processes=2).watched():
        raise ZeroDivisionError
