"""A finished run of a user's network and photos: what it needs is remembered, and what has changed is refused."""

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ofar_tf import evaluate, train
from ofar_tf.conversion.stock_networks import family_members
from ofar_tf.files import atomic_file
from ofar_tf.run.evaluate_config import EvaluateConfig
from ofar_tf.run.finished_run import FinishedRun
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.run.training_run import prepare
from ofar_tf.tflite.latency import PredictedLatency

NETS = """
import keras
from keras import layers


@keras.saving.register_keras_serializable(package="finished_run_nets")
class Half(layers.Layer):
    def call(self, x, training=None):  # Two ways, so that it is not opened.
        return x * 0.5 if training else x / 2.0


def build(classes):
    image = keras.Input((None, None, 3))
    x = Half()(layers.Rescaling(1 / 127.5)(image))
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="conv")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization(name="norm")(x)))
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="mine")
"""


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, write_photos: Callable[..., Path], make_predictor: Callable[..., Any]
) -> Path:
    """A folder of photos of three classes; a module and what is known of a device beside it."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "finished_run_nets.py").write_text(NETS)
    write_photos(folder / "photos", train=8, test=4)
    make_predictor("half", "rescaling", "convolution", "globalaveragepooling2d", "dense").write(folder / "device.json")
    return folder


@pytest.fixture(scope="module")
def finished(place: Path) -> Iterator[TrainConfig]:
    config = TrainConfig(
        run_dir=str(place / "run"),
        dataset="image_folder",
        data_dir=str(place / "photos"),
        model="finished_run_nets:build",
        pruning_rates=(0.0, 0.5),
        device=str(place / "device.json"),
        batch_norm="switchable",
        resolutions=(12,),
        min_channels=2,
        channel_round_to=2,
        epochs=2,
        batch_size=12,
        augmentation="none",
        calibration_images=12,
        validation_every=0,
        progress=False,
    )
    here, before = Path.cwd(), list(sys.path)
    os.chdir(place)
    try:
        assert train.main(config) == 0
    finally:
        os.chdir(here)
    yield config
    sys.path[:] = before
    os.environ.pop("OFAR_TF_USER_MODULES", None)


@pytest.fixture
def copy(finished: TrainConfig, tmp_path: Path) -> Callable[..., RunDir]:
    """Copies the run, damages it, and seals it again as one who means harm would."""

    def make(damage: Callable[[RunDir], Any]) -> RunDir:
        run_dir = RunDir(tmp_path / "run")
        shutil.copytree(finished.run_dir, run_dir.path)
        damage(run_dir)
        run_dir.seal(run_dir.supernet)
        return run_dir

    return make


def test_the_facts_are_stored_and_sealed(finished: TrainConfig) -> None:
    run = FinishedRun(finished.run_dir)
    assert run.facts is not None
    assert run.class_names == ("cat", "dog", "rabbit")
    assert [module.name for module in run.facts.user_modules.modules] == ["finished_run_nets"]
    assert "facts.json" in run.run_dir.checksums.read_text()


@pytest.mark.parametrize("facts", [True, False], ids=["now", "0.1.0"])
def test_a_folder_of_other_classes_is_refused_by_evaluation_in_one_line(
    copy: Callable[..., RunDir], place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], facts: bool
) -> None:
    run_dir = copy(lambda run_dir: None if facts else run_dir.facts.unlink())
    assert FinishedRun(str(run_dir.path)).class_names == ("cat", "dog", "rabbit")
    shutil.copytree(place / "photos", tmp_path / "renamed")
    for split in (tmp_path / "renamed").iterdir():
        (split / "cat").rename(split / "persian_cat")
    with pytest.raises(SystemExit) as caught:
        evaluate.main(EvaluateConfig(run_dir=str(run_dir.path), data_dir=str(tmp_path / "renamed")))
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: Expected the 3 classes that the run was trained on") and "persian_cat" in line


def test_latencies_are_predicted_by_the_runs_own_copy_of_the_device(finished: TrainConfig, place: Path) -> None:
    (place / "device.json").rename(place / "elsewhere.json")
    try:
        run = FinishedRun(finished.run_dir)
        evaluation = run.evaluate()
        members = family_members(run.trained_pool, run.evaluated(), origin="any")
    finally:
        (place / "elsewhere.json").rename(place / "device.json")
    # The device takes a millisecond for each million multiply-adds.
    assert [row.predicted_ms for row in evaluation] == pytest.approx([row.macs / 1e6 for row in evaluation])
    assert members[0].predicted == {"float32": PredictedLatency("Pixel 8", 2, evaluation[0].predicted_ms, 0.03)}


def test_measuring_says_how_many_images_it_has_used(finished: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    FinishedRun(finished.run_dir).evaluate()
    # Twelve to calibrate on, twelve to measure on.
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("24/24 after ") and line.endswith(": images")


def test_no_more_images_are_announced_than_there_are(finished: TrainConfig) -> None:
    run = FinishedRun(finished.run_dir, eval_images=1_000)
    assert run.measuring.endswith(" on 12 images, then measuring each on 12.")
    assert run.dataset["eval_images"] == 12


def test_data_that_is_gone_is_one_line_that_names_the_way_out(
    finished: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        evaluate.main(EvaluateConfig(run_dir=finished.run_dir, data_dir="/nowhere"))
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: Expected a folder with images") and "/nowhere" in line
    assert "; --data_dir says where the run's data lies now. Received: " in line


def test_a_run_that_goes_on_with_other_classes_or_another_network_is_refused(
    finished: TrainConfig, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    shutil.copytree(place / "photos", tmp_path / "photos")
    config = dataclasses.replace(finished, run_dir=str(tmp_path / "begun"), data_dir=str(tmp_path / "photos"))
    assert prepare(config) is not None
    assert prepare(config) is not None
    for split in (tmp_path / "photos").iterdir():
        (split / "cat").rename(split / "zebra")
    with pytest.raises(ValueError, match=r"^Expected the 3 classes that the run was trained on"):
        prepare(config)


def edit(name: str, change: Callable[[Any], Any]) -> Callable[[RunDir], None]:
    def damage(run_dir: RunDir) -> None:
        path = run_dir.path / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


def replace_array(change: Callable[[dict[str, Any]], Any]) -> Callable[[RunDir], None]:
    def damage(run_dir: RunDir) -> None:
        with np.load(run_dir.own_weights) as archive:
            arrays = dict(archive)
        change(arrays)
        np.savez(run_dir.own_weights, **arrays)

    return damage


def kept(value: Any) -> Callable[[Any], Any]:
    return lambda content: content["structures"][0]["kept"].update(conv=value)


HOSTILE = {
    "a channel twice": edit("pool.json", kept([0, 0, 1, 2, 3, 4, 5, 6])),
    "no list of channels": edit("pool.json", kept({"a": 1})),
    "a rate that does not fit": edit("pool.json", lambda pool: pool["structures"][1].update(rate=0.25)),
    "converged as an object": edit("pool.json", lambda pool: pool["structures"][1].update(converged={})),
    "other weights counted": edit("pool.json", lambda pool: pool["structures"][1].update(params=7)),
    "other MACs counted": edit("pool.json", lambda pool: pool["structures"][1].update(macs=7)),
    "a structure too many": edit(
        "pool.json", lambda pool: pool["structures"].append(pool["structures"][1] | {"name": "x"})
    ),
    "nested settings": lambda run_dir: run_dir.config.write_text("[" * 100_000),
    "a huge setting": edit("config.json", lambda config: config.update(epochs=10**400)),
    "a setting of another type": edit("config.json", lambda config: config.update(channel_round_to="a" * 5000)),
    "facts of another type": edit("facts.json", lambda facts: facts.update(data=[])),
    "a device of another type": edit("device.json", lambda device: device.update(coefficients=[])),
    "no facts of classes": edit("facts.json", lambda facts: facts["data"].update(class_names=["cat", "dog"])),
    "a module of another content": edit(
        "facts.json", lambda facts: facts["user_modules"]["modules"][0].update(sha256="0" * 64)
    ),
    "weights of another type": replace_array(lambda arrays: arrays.update({name: np.array(["x"]) for name in arrays})),
    "weights that are no numbers": replace_array(
        lambda arrays: arrays.update({name: np.full_like(value, np.nan) for name, value in arrays.items()})
    ),
    "an empty archive": lambda run_dir: run_dir.own_weights.write_bytes(b""),
    "no network": lambda run_dir: run_dir.supernet.write_bytes(b"PK"),
    "labels that are no text": lambda run_dir: (run_dir.facts.unlink(), run_dir.labels.write_bytes(b"\xff\xfe")),
    "no labels": lambda run_dir: (run_dir.facts.unlink(), run_dir.labels.unlink()),
}


@pytest.mark.parametrize("damage", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_run_that_could_not_be_is_refused_in_one_line_although_its_seal_holds(
    copy: Callable[..., RunDir], damage: Callable[[RunDir], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = copy(damage)
    with pytest.raises(SystemExit) as caught:
        evaluate.main(EvaluateConfig(run_dir=str(run_dir.path)))
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: Expected ") and " Received: " in line and len(line) < 1000


def test_the_supernet_of_a_network_with_other_outputs_is_refused(copy: Callable[..., RunDir]) -> None:
    def replace(run_dir: RunDir) -> None:
        image = keras.Input((None, None, 3))
        x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(8, 3, use_bias=False, name="conv")(image))
        model = keras.Model(image, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)))
        with atomic_file.replacing(run_dir.supernet) as path:
            model.save(path)

    with pytest.raises(ValueError, match=r"^Expected a network with 3 outputs, one for each class of the run"):
        FinishedRun(str(copy(replace).path))
