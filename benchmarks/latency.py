"""Latency follows MACs: LiteRT on one thread, subnets against their supernet and against narrower stock MobileNetV2s.

The structures are random: of even widths, as where all gammas are alike, and of uneven ones, as a global rank of
trained gammas gives. Each comes with channel counts rounded to multiples of 8, as searches round them, and unrounded,
which shows what the rounding does. The files of a comparison run in turn in one process.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.environment import Environment, EnvironmentOptions
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
from ai_edge_litert.options import CpuOptions, Options

from benchmarks import networks
from benchmarks.table import RESULTS, Row, print_rows, write_rows
from benchmarks.timing import time_in_turn
from ofar_tf.conversion.converter import convert
from ofar_tf.pruning.budgets import Budget, solve_mask
from ofar_tf.pruning.channel_groups import ChannelGroups, find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.subnet import build_subnet

STOCK_WIDTHS = (0.75, 0.5)
ROUNDINGS = {"multiples of 8": MaskRules(8, 8), "any width": MaskRules(8, 1)}


def even_scores(groups: ChannelGroups, random: np.random.Generator) -> np.ndarray:
    """Ranks that take the same share of every group."""
    return np.concatenate([random.permutation(group.size) / group.size for group in groups.groups])


def uneven_scores(groups: ChannelGroups, random: np.random.Generator) -> np.ndarray:
    """Values like trained gammas: each group has a scale of its own, up to four times another's."""
    return np.concatenate([random.uniform(0.5, 2.0) * random.uniform(0.1, 1.0, group.size) for group in groups.groups])


SCORES: dict[str, Callable[[ChannelGroups, np.random.Generator], np.ndarray]] = {
    "even widths": even_scores,
    "uneven widths": uneven_scores,
}


class Files:
    """Converted networks, ready to run in turn.

    Args:
        precision: Of all files.
        resolution: Of all inputs, in pixels.
        folder: Where the files lie.
    """

    def __init__(self, precision: str, resolution: int, folder: Path):
        self._precision, self._resolution, self._folder = precision, resolution, folder
        self._environment = Environment.create(options=EnvironmentOptions())
        self.runs: dict[str, Callable[[], object]] = {}

    def add(self, name: str, network: keras.Model) -> None:
        """Converts a network of logits with LiteRT's converter and opens it as `litert-benchmark` does."""
        shape = (self._resolution, self._resolution, 3)
        image = keras.Input(shape)
        model = keras.Model(image, keras.layers.Softmax()(network(image)))
        images = np.random.default_rng(networks.SEED).uniform(0, 255, (8, *shape)).astype(np.float32)
        path = self._folder / f"{len(self.runs)}.tflite"
        path.write_bytes(convert(model, precision=self._precision, representative_images=images))
        self.runs[name] = self._opened(path)

    def _opened(self, path: Path) -> Callable[[], object]:
        options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=1))
        model = CompiledModel.from_file(str(path), environment=self._environment, options=options)
        (signature,) = model.get_signature_list()
        inputs, outputs = _buffers(model, signature)
        return lambda: model.run_by_name(signature, inputs, outputs)


def _buffers(model: Any, signature: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    inputs = {
        name: model.create_input_buffer_by_name(signature, name) for name in model.get_input_tensor_details(signature)
    }
    outputs = {
        name: model.create_output_buffer_by_name(signature, name) for name in model.get_output_tensor_details(signature)
    }
    return inputs, outputs


def cut(supernet: keras.Model, scores: str, rounding: str, *, macs: int, resolution: int) -> keras.Model:
    """Cuts the largest random structure of at most so many multiply-adds out of a network."""
    groups = find_channel_groups(supernet)
    values = SCORES[scores](groups, np.random.default_rng(networks.SEED))
    mask = solve_mask(groups, values, Budget(macs=macs), resolution=resolution, rules=ROUNDINGS[rounding])
    return build_subnet(supernet, groups, mask)


def macs_of(network: keras.Model, resolution: int) -> int:
    """Counts the multiply-adds of a whole network."""
    groups = find_channel_groups(network)
    return Costs(groups).macs(ChannelMask.full(groups), resolution)


def half_the_macs(network: str, precision: str, *, resolution: int, repetitions: int, folder: Path) -> list[Row]:
    """Subnets of half the multiply-adds against the whole network."""
    supernet = networks.NETWORKS[network]()
    files, half = Files(precision, resolution, folder), macs_of(supernet, resolution) // 2
    files.add("supernet", supernet)
    cases = [(scores, rounding) for scores in SCORES for rounding in ROUNDINGS]
    for scores, rounding in cases:
        files.add(f"{scores}, {rounding}", cut(supernet, scores, rounding, macs=half, resolution=resolution))
    rounds = time_in_turn(files.runs, repetitions=repetitions)
    title = f"{network} {resolution} px {precision}, half the MACs"
    return [
        Row(f"{title}, {name} / supernet", rounds.ratio(name, "supernet"), "<= 0.6" if "8" in name else None)
        for name in files.runs
        if name != "supernet"
    ] + [Row(f"{network} {resolution} px {precision}, ms", 1000 * rounds.median("supernet"))]


def stock(width: float, resolution: int) -> keras.Model:
    """Returns Keras's own MobileNetV2, scaled pixels included, without its softmax."""
    image = keras.Input((resolution, resolution, 3))
    body = keras.applications.MobileNetV2(
        (resolution, resolution, 3), width, weights=None, classes=networks.CLASSES, classifier_activation=None
    )
    return keras.Model(image, body(keras.layers.Rescaling(1 / 127.5, offset=-1)(image)))


def equal_macs(width: float, precision: str, *, resolution: int, repetitions: int, folder: Path) -> list[Row]:
    """Subnets of the whole MobileNetV2 against the stock one of a smaller width, of as many multiply-adds."""
    narrow, supernet = stock(width, resolution), networks.NETWORKS["MobileNetV2"]()
    files, macs = Files(precision, resolution, folder), macs_of(narrow, resolution)
    files.add("stock", narrow)
    for scores in SCORES:
        for rounding in ROUNDINGS:
            subnet = cut(supernet, scores, rounding, macs=macs, resolution=resolution)
            files.add(f"{scores}, {rounding}", subnet)
    rounds = time_in_turn(files.runs, repetitions=repetitions)
    title = f"MobileNetV2 {resolution} px {precision}, {macs / 1e6:.0f} MMACs"
    return [
        Row(f"{title}, {name} / stock {width}x", rounds.ratio(name, "stock"), "<= 1.0" if "8" in name else None)
        for name in files.runs
        if name != "stock"
    ]


def measure(repetitions: int, resolution: int, precisions: Sequence[str]) -> list[Row]:
    """Runs everything."""
    rows = []
    for precision in precisions:
        with tempfile.TemporaryDirectory() as folder:
            settings = {"resolution": resolution, "repetitions": repetitions, "folder": Path(folder)}
            rows += half_the_macs("MobileNetV2", precision, **settings)
            rows += half_the_macs("ResNet-20", precision, **{**settings, "resolution": 32})
            for width in STOCK_WIDTHS:
                rows += equal_macs(width, precision, **settings)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--resolution", type=int, default=160, help="Pixels of the MobileNets.")
    parser.add_argument("--precisions", nargs="+", default=["float32"])
    parser.add_argument("--output", type=Path, default=RESULTS / "latency.json")
    arguments = parser.parse_args()
    found = measure(arguments.repetitions, arguments.resolution, arguments.precisions)
    write_rows(arguments.output, found)
    print_rows(found)
