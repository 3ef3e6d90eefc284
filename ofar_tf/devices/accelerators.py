"""The accelerators that this process computes on, and what is known of them without any tool of their makers."""

import ctypes
import logging
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import tensorflow as tf

_DRIVER = Path("/proc/driver/nvidia/version")
_CUDA = "libcuda.so.1"


def is_accelerated() -> bool:
    """Returns whether there is a GPU or TPU."""
    return bool(tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU"))


def on_host() -> AbstractContextManager[Any]:
    """Places what is computed in its scope on the processor: what decides which kernels run must be known there.

    A GPU would run a kernel for each of a few numbers, and be waited for. Programs for TPUs cannot be divided so.
    """
    return nullcontext() if tf.config.list_physical_devices("TPU") else tf.device("CPU:0")


def device_facts() -> dict[str, Any]:
    """Returns what a result depends on besides versions: the devices, their driver, and how they multiply float32.

    Returns:
        `devices`, the names of all; `accelerators`, for each its name, compute capability and memory in bytes, as far
        as they are known; `driver`, NVIDIA's, or None; `tensor_float_32`, whether float32 products are rounded to 10
        bits where the device can.
    """
    gpus = tf.config.list_physical_devices("GPU")
    return {
        "devices": [device.name for device in tf.config.list_physical_devices()],
        "accelerators": [_facts_of(gpu, number) for number, gpu in enumerate(gpus)],
        "driver": _driver(),
        "tensor_float_32": bool(tf.config.experimental.tensor_float_32_execution_enabled()),
    }


def unused_gpu() -> str | None:
    """Says that NVIDIA's driver has GPUs and TensorFlow none, whose package comes without the libraries for them.

    Returns:
        One line with the way out; `None` where there is no GPU, where it is hidden by `CUDA_VISIBLE_DEVICES`, and where
        TensorFlow sees one.
    """
    if tf.config.list_physical_devices("GPU") or not _driver_has_gpus():
        return None
    return (
        "there is a GPU that TensorFlow does not see, so that all runs on the processor: "
        f"pip install 'tensorflow[and-cuda]=={tf.__version__}' brings the libraries that it needs"
    )


def warn_of_unused_gpu() -> None:
    """Logs `unused_gpu` as a warning, if there is one."""
    if unused := unused_gpu():
        logging.getLogger(__name__).warning("%s", unused)


def _driver_has_gpus() -> bool:
    with suppress(OSError, AttributeError):
        cuda, count = ctypes.CDLL(_CUDA), ctypes.c_int()
        return cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    return False


def _facts_of(gpu: Any, number: int) -> dict[str, Any]:
    details = dict(tf.config.experimental.get_device_details(gpu))
    capability = details.get("compute_capability")
    return {
        "name": details.get("device_name"),
        "compute_capability": ".".join(map(str, capability)) if capability else None,
        "memory_bytes": _memory_of(number),
    }


def _memory_of(number: int) -> int | None:
    """Asks CUDA's driver library; TensorFlow tells only what it has taken."""
    with suppress(OSError, AttributeError):
        cuda = ctypes.CDLL(_CUDA)
        device, memory = ctypes.c_int(), ctypes.c_size_t()
        asked = (
            cuda.cuInit(0),
            cuda.cuDeviceGet(ctypes.byref(device), number),
            cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device),
        )
        return None if any(asked) else memory.value
    return None


def _driver() -> str | None:
    try:
        return " ".join(_DRIVER.read_text(encoding="utf-8").splitlines()[0].split())
    except (OSError, IndexError):
        return None
