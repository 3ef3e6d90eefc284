from types import SimpleNamespace

import pytest
import tensorflow as tf

from ofar_tf.devices import accelerators
from ofar_tf.devices.accelerators import device_facts, is_accelerated, unused_gpu, warn_of_unused_gpu


def test_a_processor_alone_is_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    known = tf.config.list_physical_devices
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind="CPU": known(kind) if kind == "CPU" else [])
    facts = device_facts()
    assert not is_accelerated() and facts["accelerators"] == []
    assert [name.split(":")[1] for name in facts["devices"]] == ["CPU"] * len(facts["devices"])
    assert isinstance(facts["tensor_float_32"], bool)


def test_a_gpu_is_told_with_its_memory_and_driver(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    gpu = SimpleNamespace(name="/physical_device:GPU:0")
    details = {"device_name": "Some GPU", "compute_capability": (9, 0)}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [] if kind == "TPU" else [gpu])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)

    class Cuda:
        """Stands in for NVIDIA's library: calls return 0 where they went well."""

        def __init__(self, name: str):
            assert name == "libcuda.so.1"

        cuInit = staticmethod(lambda flags: 0)  # noqa: N815
        cuDeviceGet = staticmethod(lambda device, number: 0)  # noqa: N815

        @staticmethod
        def cuDeviceTotalMem_v2(memory, device) -> int:  # noqa: N802
            memory._obj.value = 85 * 10**9
            return 0

    monkeypatch.setattr(accelerators.ctypes, "CDLL", Cuda)
    version = tmp_path / "version"
    version.write_text("NVRM version:  NVIDIA UNIX  x86_64  570.1\nGCC version: 12\n")
    monkeypatch.setattr(accelerators, "_DRIVER", version)
    facts = device_facts()
    assert is_accelerated()
    assert facts["accelerators"] == [{"name": "Some GPU", "compute_capability": "9.0", "memory_bytes": 85_000_000_000}]
    assert facts["driver"] == "NVRM version: NVIDIA UNIX x86_64 570.1"


class Driver:
    """Stands in for NVIDIA's library: `code` is what `cuInit` returns, 100 where no GPU may be seen."""

    def __init__(self, *, gpus: int, code: int = 0):
        self.gpus, self.code = gpus, code

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.code

    def cuDeviceGetCount(self, count) -> int:  # noqa: N802
        count._obj.value = self.gpus
        return 0


@pytest.mark.parametrize(
    ("driver", "seen", "told"),
    [
        (Driver(gpus=1), [], True),
        (Driver(gpus=1), ["GPU:0"], False),
        (Driver(gpus=0), [], False),
        (Driver(gpus=1, code=100), [], False),
        (OSError("no such library"), [], False),
    ],
)
def test_a_gpu_that_tensorflow_does_not_see_is_named_with_the_way_out(monkeypatch, driver, seen, told) -> None:
    def library(name: str) -> Driver:
        if isinstance(driver, OSError):
            raise driver
        return driver

    monkeypatch.setattr(accelerators.ctypes, "CDLL", library)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: seen if kind == "GPU" else [])
    assert (unused_gpu() is not None) is told
    assert not told or f"pip install 'tensorflow[and-cuda]=={tf.__version__}'" in unused_gpu()


def test_it_is_a_warning_of_the_package_where_there_is_one(monkeypatch, caplog) -> None:
    for text, said in ((None, []), ("there is a GPU", ["there is a GPU"])):
        monkeypatch.setattr(accelerators, "unused_gpu", lambda text=text: text)
        warn_of_unused_gpu()
        assert caplog.messages == said
