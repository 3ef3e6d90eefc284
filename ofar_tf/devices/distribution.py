"""The devices that train a run together: one, those of a machine, or those of several (`tf.distribute`).

Every process runs the same program, and one of them writes. What a strategy does not see to by itself is here and in
two other places: `training.weight_update` averages the gradients, `devices.replicas` shares out the measuring.
"""

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.devices.replicas import Replicas

# How many devices a processor pretends to be with `mirrored`, to try it without GPUs.
LOGICAL_CPUS = "OFAR_TF_LOGICAL_CPUS"

Part = tuple[int, int]
_ENDED = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


class LostProcessError(ConnectionError):
    """A process of the run has ended, or does not have the settings or weights of the others."""


@dataclass(frozen=True)
class Distribution:
    """Who trains a run.

    Attributes:
        strategy: What distributes; all variables that are trained are made in its scope.
        process: The number of this process. The one with number 0 writes.
        processes: How many there are.
    """

    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)
    process: int = 0
    processes: int = 1

    @property
    def replicas(self) -> int:
        """How many devices share each batch, those of all processes together."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def writes(self) -> bool:
        """Whether this process writes what the run leaves behind."""
        return self.process == 0

    @property
    def part(self) -> Part:
        """Which images this process measures with: (number, of how many parts)."""
        return self.process, self.processes

    def check_batch(self, batch_size: int, *, parts: int) -> None:
        """Checks that all devices get equally many images.

        Args:
            batch_size: Images in a batch, those of all devices together.
            parts: How many parts each device runs its share in.

        Raises:
            ValueError: If they do not.
        """
        if batch_size % (self.replicas * parts):
            raise ValueError(
                f"Expected a --batch_size, which counts the images of all devices, that {self.replicas} devices and "
                f"--gradient_accumulation={parts} divide. Received: batch_size={batch_size}."
            )

    def share_out(self, batches: Callable[[Part], tf.data.Dataset], *, batch_size: int) -> Any:
        """Gives every device its contiguous share of each training batch.

        Args:
            batches: Returns this part of every batch: (number, of how many parts).
            batch_size: Images in a whole batch.

        Returns:
            What `fit` takes: a `tf.data.Dataset` for one device, else a distributed one.
        """
        if self == Distribution():
            return batches(self.part)
        return self.strategy.distribute_datasets_from_function(
            lambda context: batches((context.input_pipeline_id, context.num_input_pipelines)).rebatch(
                batch_size // self.replicas, drop_remainder=True
            )
        )

    def wait(self) -> None:
        """Returns when all processes have called it."""
        self._total(0)

    def check_same(self, what: str, contents: Callable[[], Iterable[bytes]]) -> None:
        """Compares something that all processes must have alike; each of them must call this.

        Args:
            what: What it is.
            contents: Returns it; not called if there is one process only.

        Raises:
            LostProcessError: If it differs.
        """
        if self.processes == 1:
            return
        digest = 0
        for content in contents():
            digest = zlib.crc32(content, digest)
        if self._total(digest) != self.processes * digest:
            raise LostProcessError(
                f"Expected the same {what} in all {self.processes} processes. Received: others in process "
                f"{self.process}. All must run the same command, on the same code, with a --run_dir that they share."
            )

    def _total(self, value: int) -> int:
        return int(Replicas(self.strategy).total(np.array(value, np.float64)))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turns the many errors that the end of another process causes into one.

        Raises:
            LostProcessError: If another process has ended.
        """
        try:
            yield
        except _ENDED as error:
            if self.processes == 1:
                raise
            raise LostProcessError(
                f"Expected all {self.processes} processes to work. Received: one that has ended; see what it printed. "
                "Start all of them again: the run goes on from its last checkpoint."
            ) from error


class SameWeights(keras.callbacks.Callback):
    """Ends the run when processes drift apart: each has weights of its own, which only equal updates keep the same.

    It must come first of the callbacks.

    Args:
        distribution: The processes.
    """

    def __init__(self, distribution: Distribution):
        super().__init__()
        self.distribution = distribution

    def on_train_begin(self, logs: Any = None) -> None:
        """Compares what was built, or restored from a checkpoint."""
        self._check()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compares before anything is saved."""
        self._check()

    def _check(self) -> None:
        self.distribution.check_same("weights", self._weights)

    def _weights(self) -> Iterator[bytes]:
        for variable in (*self.model.trainable_variables, *self.model.optimizer.variables):
            yield np.asarray(variable).tobytes()


def distribute(kind: str) -> Distribution:
    """Takes the devices of a run. It must be the first that a program asks of TensorFlow.

    Args:
        kind: `none`, one device; `mirrored`, all GPUs of this machine; `multi_worker`, all GPUs of the machines that
            the environment variable `TF_CONFIG` lists, one process each; `tpu`, the TPU of this machine.

    Returns:
        The devices. With `multi_worker`, when all processes have been started.

    Raises:
        ValueError: If there are none of that kind, or `TF_CONFIG` makes no sense.
    """
    makers = {"none": Distribution, "mirrored": _mirrored, "multi_worker": _multi_worker, "tpu": _tpu}
    return makers[kind]()


def _mirrored() -> Distribution:
    if text := os.environ.get(LOGICAL_CPUS):
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(f"Expected {LOGICAL_CPUS} as a whole number of at least 1. Received: {text}.")
        parts = [tf.config.LogicalDeviceConfiguration()] * int(text)
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return Distribution(tf.distribute.MirroredStrategy([device.name for device in devices]))


def _multi_worker() -> Distribution:
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        tasks = [(job, index) for job in ("chief", "worker") for index in range(len(config["cluster"].get(job, [])))]
        process = tasks.index((config["task"]["type"], int(config["task"]["index"])))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            'Expected the environment variable TF_CONFIG, as {"cluster": {"worker": ["host:port", ...]}, "task": '
            f'{{"type": "worker", "index": 0}}}}, for --distribution=multi_worker. Received: {text or "none"}.'
        ) from error
    if process == 0:
        print(f"Waiting for {len(tasks)} processes: {config['cluster']}", flush=True)
    return Distribution(tf.distribute.MultiWorkerMirroredStrategy(), process, len(tasks))


def _tpu() -> Distribution:
    """Connects to the TPU of this machine. No TPU was at hand: this has never run."""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(f"Expected a TPU for --distribution=tpu. Received: {error}.") from error
    return Distribution(tf.distribute.TPUStrategy(resolver))
