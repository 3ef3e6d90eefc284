import argparse
import json
from functools import partial

import ofar_tf
from benchmarks import gpu, networks
from benchmarks.table import Row


def test_time_that_two_kernels_share_counts_once():
    kernels = [("a", 0.0, 10.0), ("b", 5.0, 12.0), ("c", 20.0, 21.0), ("d", 6.0, 7.0)]
    assert gpu._covered(kernels) == 13.0


def test_a_command_replaces_its_own_rows_and_keeps_those_of_others(tmp_path):
    path = tmp_path / "gpu.json"
    gpu.keep(path, [Row("a", 1.0), Row("b", 2.0)])
    rows = gpu.keep(path, [Row("b", 3.0)])
    assert rows == [Row("a", 1.0), Row("b", 3.0)]
    assert [row["name"] for row in json.loads(path.read_text())] == ["a", "b"]


def test_the_table_is_printed_and_not_written_anew(tmp_path, capsys):
    path = tmp_path / "gpu.json"
    path.write_text('[{"name": "a", "value": 1.0, "target": null, "note": "by hand"}]')
    before = path.read_bytes()
    gpu.main(argparse.Namespace(what="table", output=path))
    assert " a " in capsys.readouterr().out
    assert path.read_bytes() == before


def test_steps_are_timed_at_toy_size_on_a_processor(monkeypatch):
    tiny = partial(ofar_tf.models.cifar_resnet, 10, depth=8, width_multiplier=0.5)
    monkeypatch.setitem(networks.NETWORKS, "ResNet-20", tiny)
    rows = gpu.steps(gpu.CASES["ResNet-20"].toy(), number_format="mixed_bfloat16", repetitions=1)
    figures = {row.name.rpartition(": ")[2]: row.value for row in rows}
    # A processor does not count the memory that tensors take, and has no device whose kernels could be counted.
    assert figures.pop("kernels of a step") == figures.pop("share of the time that the device is busy") == 0
    assert figures.pop("copies from the device to the host, a step") == 0
    assert list(figures) == [
        "sandwich step, ms",
        "sandwich step / 2 native steps",
        "images a second, 2 networks each",
        "images a second, the largest network alone",
        "profiled step, ms",
    ]
    assert all(value > 0 for value in figures.values())
