import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ofar_tf import models
from ofar_tf.models.functional_graph import flat_layers, inner_layers
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.fused_batch_norm import FusedBatchNormalization
from ofar_tf.pruning.subnet import build_subnet, extract_subnet

OURS = {
    "mobilenet_v1": {"width_multiplier": 0.25, "small_images": True},
    "mobilenet_v2": {"width_multiplier": 0.25, "small_images": True},
    "resnet8": {},
    "resnet14": {},
    "resnet50": {"width_multiplier": 0.125, "small_images": True},
    "vgg16": {"width_multiplier": 0.25, "small_images": True},
    "wide_resnet_10_2": {},
}
# Each network once, with its stream pruned and without where it has one; rates from a tenth to nine.
MASKS = [
    ("mobilenet_v2", 0.4, True),
    ("resnet14", 0.5, True),
    ("vgg16", 0.2, False),
    ("wide_resnet_10_2", 0.9, False),
    *(
        pytest.param(*others, marks=pytest.mark.slow)
        for others in (
            ("mobilenet_v1", 0.6, False),
            ("mobilenet_v2", 0.8, False),
            ("resnet8", 0.1, False),
            ("resnet50", 0.4, True),
            ("wide_resnet_10_2", 0.3, True),
        )
    ),
]
# Arguments, and where the deep ones are cut off: by then every kind of their blocks has come, and come twice.
APPLICATIONS: dict[str, tuple[dict[str, Any], str | None]] = {
    "DenseNet121": ({}, "conv3_block2_concat"),
    "EfficientNetB0": ({}, "block3b_add"),
    "EfficientNetV2B0": ({}, "block4b_add"),
    "MobileNet": ({"alpha": 0.25}, None),
    "MobileNetV2": ({"alpha": 0.35}, "block_5_add"),
    "MobileNetV3Large": ({"minimalistic": True}, "expanded_conv_5_add"),
    "MobileNetV3Small": ({}, None),
    "ResNet50": ({}, "conv3_block2_out"),
    "ResNet50V2": ({}, "conv3_block2_out"),
    "Xception": ({}, "add_3"),
}
# Dense connections, gates, and units of each kind; the rest repeats these.
QUICK_APPLICATIONS = ("DenseNet121", "MobileNetV3Small", "ResNet50V2")


def _images(resolution: int, batch: int = 3) -> np.ndarray:
    random = np.random.default_rng(1)
    colours = random.uniform(0.0, 255.0, (batch, 1, 1, 3))
    return np.clip(colours + random.normal(0.0, 40.0, (batch, resolution, resolution, 3)), 0.0, 255.0)


@pytest.mark.parametrize(("name", "rate", "stream"), MASKS)
def test_masked_and_sliced_runs_of_our_networks_are_equal(
    name: str,
    rate: float,
    stream: bool,
    double_precision: None,
    randomize: Any,
    random_mask: Any,
    check_masked_is_sliced: Any,
    graph_macs: Any,
) -> None:
    supernet = randomize(models.build(name, classes=10, **OURS[name]), _images(16))
    groups = find_channel_groups(supernet, prune_residual_stream=stream)
    mask = random_mask(groups, rate)
    # Our logits are float32 whatever the policy.
    subnet = check_masked_is_sliced(supernet, groups, mask, images=_images(16), tolerance=1e-5)
    _check_costs(supernet, subnet, Costs(groups), mask, resolution=16, graph_macs=graph_macs)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK_APPLICATIONS else [pytest.mark.slow]) for name in APPLICATIONS],
)
def test_masked_and_sliced_runs_of_keras_applications_are_equal(
    name: str, double_precision: None, randomize: Any, random_mask: Any, check_masked_is_sliced: Any, graph_macs: Any
) -> None:
    resolution = 71 if name == "Xception" else 32
    builder: Callable[..., keras.Model] = getattr(keras.applications, name)
    options, last = APPLICATIONS[name]
    arguments = {"weights": None, "input_shape": (resolution, resolution, 3), "classes": 10}
    supernet = builder(**arguments, classifier_activation=None, **options)
    if last is not None:
        pooled = keras.layers.GlobalAveragePooling2D()(supernet.get_layer(last).output)
        supernet = keras.Model(supernet.input, keras.layers.Dense(10)(pooled))
    randomize(supernet, _images(resolution))
    groups = find_channel_groups(supernet)
    mask = random_mask(groups, 0.6)
    subnet = check_masked_is_sliced(supernet, groups, mask, images=_images(resolution))
    _check_costs(supernet, subnet, Costs(groups), mask, resolution=resolution, graph_macs=graph_macs)


def _check_costs(
    supernet: keras.Model, subnet: keras.Model, costs: Costs, mask: ChannelMask, *, resolution: int, graph_macs: Any
) -> None:
    assert costs.params(mask) == subnet.count_params() < supernet.count_params()
    assert costs.macs(mask, resolution) == graph_macs(subnet, resolution)
    assert all(type(layer).__module__.startswith("keras.") for layer in flat_layers(subnet))


def test_the_trainable_copy_runs_as_its_masked_supernet_in_single_precision(
    randomize: Any, random_mask: Any, check_masked_is_sliced: Any
) -> None:
    images = _images(16, batch=8).astype("float32")
    supernet = randomize(models.build("wide_resnet_10_2", classes=10), images)
    groups = find_channel_groups(supernet)
    mask = random_mask(groups, 0.5)
    subnet = check_masked_is_sliced(supernet, groups, mask, images=images, tolerance=1e-5, trainable_copy=True)
    norms = [layer for layer in subnet.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms and all(type(norm) is FusedBatchNormalization for norm in norms)


def test_a_resolution_fixes_the_input_and_changes_nothing_else(randomize: Any, random_mask: Any) -> None:
    images = _images(20)
    supernet = randomize(models.build("resnet8", classes=10), images)
    groups = find_channel_groups(supernet)
    mask = random_mask(groups, 0.5)
    fixed = extract_subnet(supernet, groups, mask, resolution=20)
    assert fixed.input_shape == (None, 20, 20, 3)
    np.testing.assert_allclose(fixed(images), extract_subnet(supernet, groups, mask)(images), rtol=1e-5, atol=1e-5)


def test_a_subnet_has_weights_of_its_own(randomize: Any, random_mask: Any) -> None:
    supernet = randomize(models.build("resnet8", classes=10), _images(8))
    groups = find_channel_groups(supernet)
    subnet = extract_subnet(supernet, groups, ChannelMask.full(groups))
    for weight in subnet.weights:
        weight.assign(weight + 1)
    assert not any(np.allclose(a, b) for a, b in zip(subnet.get_weights(), supernet.get_weights(), strict=True))


def test_what_a_normalization_layer_was_adapted_to_reaches_fresh_subnets() -> None:
    images = _images(8).astype("float32")
    normalization = keras.layers.Normalization()
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3)(normalization(inputs))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    supernet = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    normalization.adapt(images)
    groups = find_channel_groups(supernet)
    subnet = build_subnet(supernet, groups, ChannelMask.full(groups), trainable_copy=True)
    logits, _ = subnet.stateless_call(supernet.trainable_variables, supernet.non_trainable_variables, images)
    np.testing.assert_allclose(logits, supernet(images), rtol=1e-5, atol=1e-5)


def test_a_saved_subnet_names_nothing_of_this_package(randomize: Any, random_mask: Any, tmp_path: Path) -> None:
    supernet = randomize(models.build("resnet8", classes=10), _images(16))
    groups = find_channel_groups(supernet)
    extract_subnet(supernet, groups, random_mask(groups, 0.5), resolution=16).save(tmp_path / "subnet.keras")
    with zipfile.ZipFile(tmp_path / "subnet.keras") as archive:
        config = archive.read("config.json").decode()
    assert (
        '"module": "keras' in config
        and "ofar_tf" not in config
        and '"registered_name": "' not in config.replace('"registered_name": "Functional"', "")
    )


def _half_precision(policy: str) -> keras.Model:
    inputs = keras.Input((16, 16, 3), dtype="float16" if policy == "float16" else None)
    x = keras.layers.Conv2D(6, 3, dtype=policy)(inputs)
    x = keras.layers.ReLU(dtype=policy)(keras.layers.BatchNormalization(dtype=policy)(x))
    x = keras.layers.Conv2D(4, 1, dtype=policy)(x)
    x = keras.layers.SpectralNormalization(keras.layers.Conv2D(5, 1, dtype=policy), dtype=policy)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype=policy)(x)
    return keras.Model(inputs, keras.layers.Dense(2, dtype=policy)(x))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float16"])
def test_a_subnet_is_float32_whatever_the_source_and_the_global_policy(policy: str, random_mask: Any) -> None:
    supernet = _half_precision(policy)
    groups = find_channel_groups(supernet)
    keras.config.set_dtype_policy(policy)
    try:
        subnet = extract_subnet(supernet, groups, random_mask(groups, 0.5), resolution=16)
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in inner_layers(subnet)[1:]} == {"float32"}
    assert {tensor.dtype for tensor in (*subnet.weights, *subnet.inputs, *subnet.outputs)} == {"float32"}


def test_a_subnet_of_another_size_than_the_supernets_is_refused() -> None:
    supernet = _half_precision("float32")
    groups = find_channel_groups(supernet)
    with pytest.raises(ValueError, match=r"^Expected resolution=16, the model's fixed input size\. Received: 32\.$"):
        build_subnet(supernet, groups, ChannelMask.full(groups), resolution=32)


def test_what_is_frozen_inside_of_a_layer_stays_frozen(random_mask: Any) -> None:
    supernet = _half_precision("float32")
    (spectral,) = (layer for layer in supernet.layers if isinstance(layer, keras.layers.SpectralNormalization))
    spectral.layer.trainable = False
    groups = find_channel_groups(supernet)
    subnet = build_subnet(supernet, groups, random_mask(groups, 0.5), trainable_copy=True)
    assert len(subnet.trainable_variables) == len(supernet.trainable_variables) == 8


@keras.saving.register_keras_serializable("test_subnet")
def _blur(shape: Any, dtype: Any = None) -> Any:
    assert tuple(shape) == (3, 3, 6, 1)
    return keras.ops.ones(shape, dtype) / 9.0


@pytest.mark.parametrize("of", ["array", "function"])
def test_an_initializer_for_the_shape_of_the_whole_weight_does_not_keep_it_from_being_cut(
    of: str, tmp_path: Path, random_mask: Any
) -> None:
    blur = keras.initializers.Constant(np.full((3, 3, 6, 1), 1 / 9, "float32")) if of == "array" else _blur
    image = keras.Input((8, 8, 3))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(6, 3)(image)))
    x = keras.layers.DepthwiseConv2D(3, strides=2, use_bias=False, trainable=False, depthwise_initializer=blur)(x)
    supernet = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    groups = find_channel_groups(supernet)
    subnet = extract_subnet(supernet, groups, random_mask(groups, 0.5))
    subnet.save(tmp_path / "small.keras")
    kernel = keras.saving.load_model(tmp_path / "small.keras").layers[4].kernel
    assert kernel.shape[2] < 6
    np.testing.assert_allclose(kernel, 1 / 9, rtol=1e-6)


def test_weights_stay_with_their_layers_where_what_computes_among_zeros_makes_ways_longer(
    tmp_path: Path, random_mask: Any
) -> None:
    image, convolution = keras.Input((8, 8, 3)), partial(keras.layers.Conv2D, 8, 3)
    normed = keras.layers.LayerNormalization()(convolution(name="normed")(image))
    bent = keras.layers.ReLU()(keras.layers.ReLU()(convolution(name="bent")(image)))
    pooled = keras.layers.GlobalMaxPooling2D()(keras.layers.Concatenate()([normed, bent]))
    supernet = keras.Model(image, keras.layers.Dense(3)(pooled))
    groups = find_channel_groups(supernet)
    mask = random_mask(groups, 0.4)
    subnet, kept = extract_subnet(supernet, groups, mask), np.append(mask.keep, True)
    for name in ("normed", "bent"):
        kernel = np.asarray(supernet.get_layer(name).kernel)
        entry = next(each for each in groups.weights if each.path == f"{name}/kernel")
        np.testing.assert_array_equal(subnet.get_layer(name).kernel, kernel[..., kept[entry.axes[3]]])
    subnet.save(tmp_path / "small.keras")
    again = keras.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_array_equal(again(_images(8)), subnet(_images(8)))
