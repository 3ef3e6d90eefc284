from pathlib import Path

import keras
import numpy as np
import pytest

from ofar_tf import models
from ofar_tf.models.detector import OUTSIDE
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.run.config_file import to_json
from ofar_tf.run.tasks.detection import DetectionRun
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool
from ofar_tf.text.size import Size

SETTINGS = {"model": "mobilenet_v1", "width_multiplier": 0.25}


@pytest.fixture(scope="module")
def body(tmp_path_factory) -> Path:
    """What a finished classification run of two structures leaves behind."""
    folder = tmp_path_factory.mktemp("body")
    (folder / "config.json").write_text(to_json(TrainConfig(run_dir="r", pruning_rates=(0.0, 0.5), **SETTINGS)))
    keras.utils.set_random_seed(3)
    network = models.build("mobilenet_v1", classes=5, width_multiplier=0.25)
    groups = find_channel_groups(network)
    half = np.concatenate([np.arange(group.size) % 2 == 0 for group in groups.groups])
    networks = [
        PrunedNetwork(f"rate{number}", mask.rate, mask, macs, 10, 1, True)
        for number, mask, macs in ((0, ChannelMask.full(groups), 9), (50, ChannelMask(groups.groups, half), 5))
    ]
    (folder / "pool.json").write_text(PrunedNetworkPool(tuple(networks)).to_json())
    network.save(folder / "supernet.keras")
    return folder


def settings(body: Path, **changes) -> TrainConfig:
    return TrainConfig(**{"run_dir": "r", "task": "detection", "backbone_run_dir": str(body), **SETTINGS, **changes})


def test_a_body_starts_from_the_weights_and_structures_of_a_classification_run(body):
    config, said = settings(body, resolutions=(64, 32), epochs=9), []
    run = DetectionRun(config)
    network = run.network(2, say=said.append)
    theirs = keras.models.load_model(body / "supernet.keras")
    kernel = "block_13_pointwise"
    np.testing.assert_array_equal(network.get_layer(kernel).kernel, theirs.get_layer(kernel).kernel)
    assert "begin anew: logits" in said[0]

    groups = find_channel_groups(network, outside=OUTSIDE)
    whole, half = run.found_masks(groups, size=Size(64, 64))
    assert whole == ChannelMask.full(groups)
    assert all(kept == list(range(0, 2 * len(kept), 2)) for kept in half.kept().values())
    assert config.takes_structures and config.epochs_of_search == 0


def test_with_budgets_structures_are_searched_anew(body):
    config = settings(body, pruning_rates=(0.0, 0.5), epochs=9)
    assert not config.takes_structures and config.epochs_of_search > 0
    assert DetectionRun(config).found_masks(None, size=Size(64, 64)) == ()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width_multiplier": 0.5},
         "Expected --width_multiplier=0.25, as the run in --backbone_run_dir has it. Received: 0.5."),
        ({"model": "vgg16"},
         "Expected --model=mobilenet_v1, as the run in --backbone_run_dir has it. Received: vgg16."),
        ({"resolutions": (100, 64)}, "Expected --resolutions that 32 divides with --task=detection. Received: 100."),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_body_is_refused(body, changes, sentence):
    with pytest.raises(ValueError) as caught:
        DetectionRun(settings(body, **{"resolutions": (64,), **changes})).network(2, say=print)
    assert str(caught.value) == sentence


def test_an_unfinished_or_other_run_is_refused(body, tmp_path):
    (tmp_path / "config.json").write_text((body / "config.json").read_text())
    with pytest.raises(FileNotFoundError, match="Expected a finished run in --backbone_run_dir"):
        DetectionRun(settings(tmp_path, resolutions=(64,))).network(2, say=print)
    (tmp_path / "config.json").write_text(to_json(settings(body)))
    with pytest.raises(ValueError, match="Expected a classification run in --backbone_run_dir"):
        DetectionRun(settings(tmp_path, resolutions=(64,))).network(2, say=print)
    with pytest.raises(ValueError) as caught:
        TrainConfig(run_dir="r", pruning_rates=(0.1, 0.5), backbone_run_dir=str(body))
    assert str(caught.value) == (
        "Expected --backbone_run_dir with --task=detection, in the place of --pretrained. "
        "Received: task=classification, pretrained=none."
    )
