"""Step times against the physical limit: the same compact networks, written natively, with the same fused BatchNorm."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import tensorflow as tf

from benchmarks import networks
from benchmarks.table import RESULTS, Row, print_rows, write_rows
from benchmarks.timing import time_in_turn
from benchmarks.worker import Worker
from ofar_tf.devices.processors import share_cores
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.training.network_functions import NetworkFunctions

SANDWICH = (0.0, 0.3, 0.5, 0.8)
PAPER = (0.25, 0.49, 0.64, 0.8)


def slicing(network: str, *, resolution: int, size: int, repetitions: int) -> list[Row]:
    """One structure, forward and backward: sliced, native, and in stock layers."""
    rows, rates = [], (0.25, 0.5, 0.8)
    model = networks.frozen_trainer(network, rates, [resolution])
    images, labels = networks.batch(size, resolution)
    target = tf.one_hot(labels, networks.CLASSES)
    task = Classification(classes=networks.CLASSES)
    targets, pixels = task.targets(labels), tf.constant([resolution, resolution])
    for rate, mask in zip(rates, model.pool.masks, strict=True):
        functions = NetworkFunctions(model.supernet, model.groups, task=task)
        functions.use_slices([mask])
        sliced = tf.function(
            lambda functions=functions: functions.run(0, noise=0, images=images, size=pixels, targets=targets).gradients
        )
        runs = {"sliced": lambda sliced=sliced: [g.numpy().ravel()[:1] for g in sliced()[-1:]]}
        for name, fused in (("native", True), ("stock", False)):
            native = networks.NativeNetwork(model, mask, fused=fused)
            step = tf.function(lambda native=native: native.gradients(images, target))
            runs[name] = lambda step=step: step()[-1].numpy()
        # Steps of a single network are short, and their ratios are held to three per cent.
        rounds = time_in_turn(runs, repetitions=2 * repetitions)
        title = f"{network} {resolution} px, batch {size}, {rate:.0%} pruned: sliced"
        rows.append(Row(f"{title} / native", rounds.ratio("sliced", "native"), "<= 1.03"))
        limit = "<= 0.75" if network == "MobileNetV2" else None
        rows.append(Row(f"{title} / stock Keras", rounds.ratio("sliced", "stock"), limit))
    return rows


def sandwich(
    network: str, *, resolutions: tuple[int, ...], size: int, repetitions: int, one_at_once: bool = False
) -> list[Row]:
    """A whole step against four native training steps at the same resolutions, each with its own update.

    All networks at once is what training does on a CPU whose memory allows it. Native steps run in another process,
    whose threads are those that TensorFlow gives a program that trains one network.
    """
    batch = networks.batch(size, resolutions[0])
    settings = json.dumps({"rates": SANDWICH, "resolutions": resolutions, "size": size})
    native = Worker([sys.executable, "-m", "benchmarks.native_worker", network, settings])
    runs: dict[str, Callable[[], object]] = {name: partial(native.ask, name) for name in ("native", "stock")}
    for at_once in (1, len(SANDWICH)) if one_at_once else (len(SANDWICH),):
        model = networks.frozen_trainer(
            network, SANDWICH, resolutions, networks_per_step="all", weight_decay=0.0, networks_at_once=at_once
        )
        step = tf.function(model.train_step, autograph=False)
        name = "sandwich, one by one" if at_once == 1 else "sandwich"
        runs[name] = lambda step=step: step(batch)["teacher_loss"].numpy()
    rounds = time_in_turn(runs, repetitions=repetitions)
    native.end()
    title = f"{network} {resolutions[0]}-{resolutions[-1]} px, batch {size}: sandwich step"
    limit, stock_limit = ("<= 0.85", "<= 0.65") if network == "MobileNetV2" else ("<= 0.9", None)
    rows = [
        Row(f"{title} / four native steps", rounds.ratio("sandwich", "native"), limit),
        Row(f"{title} / four stock Keras steps", rounds.ratio("sandwich", "stock"), stock_limit),
        Row(f"{title}, seconds", rounds.median("sandwich")),
    ]
    if one_at_once:
        alone = rounds.ratio("sandwich, one by one", "native")
        rows.append(Row(f"{title}, one network at once / four native steps", alone))
    return rows


def masks(network: str, *, target: str, repetitions: int) -> list[Row]:
    """The same sandwich with masks at full width and with compact networks, at the paper's rates and resolutions."""
    resolutions, runs = (224, 192, 160, 128), {}
    images, labels = networks.batch(8, resolutions[0])
    for execution in ("masked", "sliced"):
        model = networks.frozen_trainer(network, PAPER, resolutions, search_networks="sandwich")
        if execution == "masked":
            model.pool, pool = None, model.pool
            step = model._sandwich
            step._functions.use_gates(step.gates)
            step.searching, step._rules = True, replace(step._rules, search=step._rules.joint)
            model.set_masks(pool.masks, frozen=[True] * len(PAPER))
        step = tf.function(model.train_step, autograph=False)
        runs[execution] = lambda step=step: step((images, labels))["teacher_loss"].numpy()
    rounds = time_in_turn(runs, repetitions=repetitions)
    return [Row(f"{network}: masked / sliced sandwich", rounds.ratio("masked", "sliced"), target)]


def pool_sizes(*, repetitions: int) -> list[Row]:
    """The time of a step does not grow with the pool, because it runs four networks of it."""
    images, labels = networks.batch(128, 32)
    runs = {}
    for structures in (4, 8, 16):
        rates = [0.8 * index / (structures - 1) for index in range(structures)]
        model = networks.frozen_trainer("ResNet-20", rates, [32])
        step = tf.function(model.train_step, autograph=False)
        runs[str(structures)] = lambda step=step: step((images, labels))["teacher_loss"].numpy()
    # Two networks of each step are drawn, but from the same rates: the medians of enough steps agree.
    rounds = time_in_turn(runs, repetitions=repetitions)
    return [
        Row(
            f"pool of {structures} / pool of 4: step time",
            rounds.median(str(structures)) / rounds.median("4"),
            "<= 1.05",
        )
        for structures in (8, 16)
    ]


def small_images(network: str, *, resolutions: tuple[int, ...], repetitions: int) -> list[Row]:
    """What an image of a small batch costs against one of a large batch: the rest is what operators cost to start."""
    small, large = 64, 512
    model = networks.frozen_trainer(network, SANDWICH, resolutions, networks_per_step="all", weight_decay=0.0)
    step, native = tf.function(model.train_step, autograph=False), networks.NativeSteps(model, fused=True)
    runs = {}
    for size in (small, large):
        images, labels = networks.batch(size, resolutions[0])
        target = tf.one_hot(labels, networks.CLASSES)
        runs[f"sandwich, {size}"] = lambda data=(images, labels): step(data)["teacher_loss"].numpy()
        runs[f"native, {size}"] = partial(native.run, images, target)
    rounds = time_in_turn(runs, repetitions=repetitions)
    title = f"{network} {resolutions[0]}-{resolutions[-1]} px: an image of a batch of {small} / of one of {large}"
    return [
        Row(f"{title}, {name}", rounds.ratio(f"{each}, {small}", f"{each}, {large}") * large / small)
        for each, name in (("sandwich", "sandwich step"), ("native", "four native steps"))
    ]


def measure(repetitions: int) -> list[Row]:
    """Runs everything with the threads of a training, and prints each part when it is done."""
    share_cores()
    parts = (
        partial(slicing, "MobileNetV2", resolution=96, size=32),
        partial(slicing, "ResNet-20", resolution=32, size=128),
        partial(sandwich, "MobileNetV2", resolutions=(96, 80, 64, 48), size=32, one_at_once=True),
        partial(sandwich, "ResNet-20", resolutions=(32, 28, 24, 20), size=128),
        partial(masks, "MobileNetV2-1.5x", target=">= 1.5"),
        partial(masks, "MobileNetV1-1.5x", target=">= 2.2"),
        partial(small_images, "ResNet-20", resolutions=(32, 28, 24, 20)),
        pool_sizes,
    )
    rows = []
    for part in parts:
        found = part(repetitions=repetitions)
        print(*found, sep="\n", flush=True)
        rows += found
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "step_time.json")
    arguments = parser.parse_args()
    rows = measure(arguments.repetitions)
    write_rows(arguments.output, rows)
    print_rows(rows)
