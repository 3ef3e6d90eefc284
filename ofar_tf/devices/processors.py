"""The cores that this process may use, and how the networks of a training step share them."""

import math
import os
from contextlib import suppress
from pathlib import Path

import tensorflow as tf

from ofar_tf.devices.accelerators import is_accelerated

# Where Linux says how long the processes of a container may compute in a period, in its second and first version of
# control groups.
_QUOTA = (Path("/sys/fs/cgroup/cpu.max"),)
_QUOTA_BEFORE = (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))
# Where TensorFlow is told its threads; whoever did so knows better.
_TOLD = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def usable_cores() -> int:
    """Returns the number of cores: of the machine, or those that this process or its container may use of them."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows.
        cores = os.cpu_count() or 1
    for files in (_QUOTA, _QUOTA_BEFORE):
        with suppress(OSError, ValueError):  # Not a number is no limit: "max".
            quota, period = map(int, " ".join(file.read_text() for file in files).split())
            if quota > 0:
                cores = min(cores, math.ceil(quota / period))
    return cores


def share_cores() -> None:
    """Has each operator of this process compute on half of the cores, so that networks of a step share them.

    TensorFlow spreads each operator over all cores, which wait for each other at its end; several networks that run at
    the same time have work for half of them each. Nothing is changed on accelerators, where `TF_NUM_INTRAOP_THREADS`
    or `TF_NUM_INTEROP_THREADS` is set, and once TensorFlow computes.
    """
    if is_accelerated() or any(os.environ.get(name) for name in _TOLD):
        return
    cores = usable_cores()
    with suppress(RuntimeError):  # TensorFlow has its threads already.
        tf.config.threading.set_intra_op_parallelism_threads(math.ceil(cores / 2))
        tf.config.threading.set_inter_op_parallelism_threads(cores)


def core_facts() -> dict[str, int]:
    """Returns what speed, and the last bits of a result, depend on: how many `cores`, and how many `operator_threads`.

    The latter is 0 where TensorFlow or its variables in the environment choose.
    """
    return {
        "cores": usable_cores(),
        "operator_threads": tf.config.threading.get_intra_op_parallelism_threads(),
    }
