"""A detector goes the whole way by its commands: trained, killed, resumed, measured, exported."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ofar_tf.text.command_line import command_line
from ofar_tf.tflite.metadata import read_training_images
from ofar_tf.training.callbacks import SaveCheckpoint

Command = Callable[..., subprocess.CompletedProcess[str]]
SIDE = 64
BODY = """
import keras
from keras import layers


def build(classes):
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(image)
    for stage in range(1, 6):
        x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name=f"conv{stage}")(x)
        x = layers.ReLU(name=f"relu{stage}")(layers.BatchNormalization(name=f"norm{stage}")(x))
    return keras.Model(image, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))
"""


def write_split(folder: Path, split: str, boxes: list[list[list[float]]]) -> None:
    """Writes an image for each list of boxes (left, top, width, height), bright where they are, and the annotations."""
    images, annotations = [], []
    (folder / split).mkdir()
    for number, here in enumerate(boxes):
        pixels = np.full((SIDE, SIDE, 3), 30, np.uint8)
        for left, top, width, height in np.array(here, int).reshape(-1, 4):
            pixels[top : top + height, left : left + width] = 220
            box = {"id": len(annotations) + 1, "image_id": number, "category_id": 1 + number % 2}
            annotations.append({**box, "bbox": [left, top, width, height], "iscrowd": 0})
        keras.utils.save_img(folder / split / f"{number}.png", pixels, scale=False)
        images.append({"id": number, "file_name": f"{number}.png", "height": SIDE, "width": SIDE})
    annotations = json.loads(json.dumps(annotations, default=int))
    categories = [{"id": 1, "name": "ant"}, {"id": 2, "name": "bee"}, {"id": 3, "name": "cow"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / f"instances_{split}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images to train on, of which one shows nothing, one has a box without area and one a box beyond its edge."""
    folder = tmp_path_factory.mktemp("photos")
    square = [[8.0, 8.0, 24.0, 24.0]]
    write_split(folder, "train", [square, [[20, 30, 24, 30]], [], [*square, [5, 5, 0, 9]], square, [[50, 40, 30, 20]]])
    write_split(folder, "val", [square, [[30, 20, 20, 30]], []])
    return folder


@pytest.fixture
def train(tmp_path: Path, photos: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command `train`, on these images, with a body of the user's."""
    (tmp_path / "tiny_body.py").write_text(BODY)
    monkeypatch.chdir(tmp_path)
    settings = (
        f"--data_dir={photos}",
        "--task=detection",
        "--dataset=coco_folder",
        "--model=tiny_body:build",
        "--features=relu3,relu4,relu5",
        "--neck_channels=8",
        "--head_layers=0",
        "--pruning_rates=0,0.5",
        "--min_channels=2",
        "--channel_round_to=2",
        f"--resolutions={SIDE}",
        # Neither a search nor lessons: other tests have them, and their graphs take most of the time.
        "--method=us_net",
        "--class_target=ground_truth",
        "--epochs=1",
        "--checkpoint_steps=1",
        "--batch_size=2",
        "--calibration_images=4",
        "--validation_every=0",
        "--deterministic",
        "--noprogress",
    )
    return lambda *more: run_command("train", *settings, *more)


def state(run_dir: Path) -> dict[str, np.ndarray]:
    with np.load(run_dir / "checkpoints" / "epoch_00001.npz") as archive:
        return dict(archive)


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is left of the run in `run` if it dies after the second of three steps; the run itself goes on."""
    save = SaveCheckpoint._save

    def copied(self: Any, epoch: int, step: int, more: Any) -> None:
        save(self, epoch, step, more)
        if (epoch, step) == (0, 2):
            shutil.copytree(tmp_path / "run", tmp_path / "killed")

    monkeypatch.setattr(SaveCheckpoint, "_save", copied)
    return tmp_path / "killed"


def test_a_killed_run_ends_as_if_it_had_not_been_and_its_file_says_what_it_found(
    train: Command, photos: Path, killed: Path, run_command: Command, in_process: None, tmp_path: Path
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    trained = train(f"--run_dir={run}")
    assert trained.returncode == 0, trained.stderr
    said = trained.stdout.splitlines()
    assert said.count("1 boxes of 'train' leave their images; they were cut at the edge.") == 1
    assert said.count("1 boxes of 'train' have no area within their images; they were left out.") == 1
    assert said.count("1 of 3 classes have no training box in 'train': cow.") == 1

    run.rename(whole)
    killed.rename(run)
    assert train(f"--run_dir={run}").returncode == 0
    expected, received = state(whole), state(run)
    assert received.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(received[name], value, err_msg=name)

    evaluated = run_command("evaluate", f"--run_dir={run}", f"--data_dir={photos}")
    assert evaluated.returncode == 0, evaluated.stderr
    assert evaluated.stdout.endswith(f"Next: {command_line('export', run_dir=run, data_dir=photos)}\n")
    assert (run / "detections.png").is_file()
    refused = run_command("export", f"--run_dir={run}", "--precisions=qat")
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
    assert "Expected precisions that object detectors have: float32, " in refused.stderr
    exported = run_command("export", f"--run_dir={run}", "--only=rate50", "--precisions=float32", "--latency_threads=0")
    assert exported.returncode == 0, exported.stderr
    (model,) = json.loads((run / "export" / "manifest.json").read_text())["models"]
    assert model["checks"]["passed"] and model["metrics"]["images"] == 3
    assert 0 <= model["metrics"]["ap"] == pytest.approx(model["metrics"]["keras_ap"], abs=0.01)
    assert read_training_images(run / "export" / model["path"]).canvas == SIDE
    page = (run / "export" / "report.html").read_text()
    assert page.count("<img ") == 3 and "0 there, " in page


def test_an_annotation_file_that_names_missing_images_is_refused_in_one_line_and_nothing_is_written(
    train: Command, photos: Path, tmp_path: Path
) -> None:
    picture = photos / "train" / "3.png"
    aside = picture.rename(tmp_path / "3.png")
    annotations = (photos / "instances_train.json").read_bytes()
    refused = train(f"--run_dir={tmp_path / 'run'}")
    aside.rename(picture)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "the 6 images" in line and line.endswith("Received: 1 of them missing, the first 3.png.")
    assert not (tmp_path / "run").exists() and (photos / "instances_train.json").read_bytes() == annotations
