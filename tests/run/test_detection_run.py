"""A whole run with --task=detection, on the bundled scenes and a body of the user's."""

import csv
import textwrap

import pytest

from ofar_tf.run.finished_run import FinishedRun
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.run.training_run import prepare
from ofar_tf.text.size import Size

BODY = """
    import keras

    def build(classes):
        layers = keras.layers
        image = keras.Input((None, None, 3))
        x = layers.Rescaling(1 / 255)(image)
        for stage in range(1, 6):
            x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name=f"conv{stage}")(x)
            x = layers.ReLU(name=f"relu{stage}")(layers.BatchNormalization(name=f"bn{stage}")(x))
        return keras.Model(image, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))
"""


@pytest.fixture
def config(tmp_path, monkeypatch) -> TrainConfig:
    (tmp_path / "tiny_body.py").write_text(textwrap.dedent(BODY))
    monkeypatch.syspath_prepend(tmp_path)
    return TrainConfig(
        run_dir=str(tmp_path / "run"),
        task="detection",
        dataset="fashion_mnist_scenes",
        train_split="train[:16]",
        eval_split="test[:8]",
        model="tiny_body:build",
        features=("relu3", "relu4", "relu5"),
        neck_channels=8,
        head_layers=0,
        pruning_rates=(0.0, 0.5),
        resolutions=(Size(64, 96), 32),
        min_channels=2,
        channel_round_to=2,
        epochs=2,
        search_epochs=1,
        batch_size=8,
        calibration_images=8,
        validation_every=0,
        progress=False,
    )


def test_a_body_of_ones_own_is_trained_to_find_things_and_measured(config):
    prepare(config).train()
    assert prepare(config) is None
    run = FinishedRun(config.run_dir)
    assert run.config == config  # Sizes that are no squares are read back.
    run.evaluate()
    with run.run_dir.subnets.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["structure"], row["resolution"]) for row in rows] == [
        (name, size) for name in ("rate0", "rate50") for size in ("64x96", "32")
    ]
    assert all(0 <= float(row["ap"]) <= float(row["ap50"]) <= 1 for row in rows)
    assert all(int(row["total_macs"]) > int(row["macs"]) for row in rows)
    assert len(run.evaluated()) == 4
