"""Every kind of file that our commands read, changed at random: an error in words, or the value, and nothing else.

`OFAR_TF_FUZZ_CASES=10000 pytest tests/test_fuzz.py` tries as many cases (a few hundred by default), and
`OFAR_TF_FUZZ_SEED` repeats a failure: the seed stands in its message.
"""

import dataclasses
import io
import json
import os
import pickle
import signal
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import ofar_tf
from ofar_tf import flags
from ofar_tf.data.image_header import read_header
from ofar_tf.evaluation.pool_evaluation import PoolEvaluation, read_evaluation, write_evaluation
from ofar_tf.evaluation.results_log import read_results
from ofar_tf.evaluation.subnet_table import SubnetRow, read_subnets
from ofar_tf.family.export_files import read_export
from ofar_tf.family.manifest import Manifest, read_manifest, write_manifest
from ofar_tf.family.phone_latency import read_phone_latencies
from ofar_tf.family.report.search_record import read_similarity
from ofar_tf.files.finished_work import Work
from ofar_tf.models.user_model import read_file
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.group_choices import read_group_choices, write_group_choices
from ofar_tf.run.config_file import read_config, to_flagfile, to_json
from ofar_tf.run.matrix.matrix_file import read_matrix
from ofar_tf.run.run_facts import read_facts
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.search.pool_weights import PoolWeights
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool, read_pool
from ofar_tf.shipping.photographs import read_image
from ofar_tf.shipping.prediction import open_network
from ofar_tf.tasks.classification.accuracy import METRIC
from ofar_tf.tasks.task import Scores
from ofar_tf.text.size import Size
from ofar_tf.tflite.metadata import FileMetadata, read_metadata, with_metadata
from ofar_tf.training.checkpoints import Checkpoints
from tests.mutations import mutated

CASES = int(os.environ.get("OFAR_TF_FUZZ_CASES", "400"))
SEED = int(os.environ.get("OFAR_TF_FUZZ_SEED", "0"))
_SECONDS = 20


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file: a sound one, what reads it, and what must hold of a value that is given all the same."""

    path: Path
    read: Callable[[Path], Any]
    holds: Callable[[Any], bool] = lambda value: True
    cost: int = 1


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, network, converted, make_entry, header) -> dict[str, Kind]:
    folder = tmp_path_factory.mktemp("sound")
    groups = find_channel_groups(network, prune_residual_stream=True)
    full = ChannelMask.full(groups)
    half = ChannelMask.from_kept(groups.groups, {group.name: range(group.size // 2) for group in groups.groups})
    costs = Costs(groups)
    networks = [
        PrunedNetwork(name, mask.rate, mask, costs.macs(mask, 16), costs.params(mask), 1, True)
        for name, mask in (("rate0", full), ("rate50", half))
    ]
    pool = PrunedNetworkPool(tuple(networks))
    config = TrainConfig(run_dir="run", pruning_rates=(0.0, 0.5), resolutions=(20, 16), epochs=4)

    def file(name: str, content: str | bytes) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    found: dict[str, Kind] = {}
    found["flagfile"] = Kind(
        file("a.flagfile", to_flagfile(config) + "--run_dir=run\n"),
        lambda path: flags.read(TrainConfig, [f"--flagfile={path}"]),
    )
    found["config"] = Kind(file("config.json", to_json(config)), read_config)
    found["pool"] = Kind(file("pool.json", pool.to_json()), partial(read_pool, groups=groups))
    write_group_choices(folder / "groups.json", groups)
    found["groups"] = Kind(folder / "groups.json", read_group_choices)
    write_manifest(folder / "manifest.json", Manifest(**vars(header), models=(make_entry("a", macs=4, top1=0.5),)))
    found["manifest"] = Kind(folder / "manifest.json", read_manifest)
    found["facts"] = Kind(file("facts.json", json.dumps(_FACTS)), read_facts)
    parse = partial(flags.read, TrainConfig)
    found["matrix"] = Kind(file("matrix.toml", _MATRIX), partial(read_matrix, folder=folder, parse=parse))
    found["phones"] = Kind(file("phones.csv", _PHONES), read_phone_latencies)
    found["similarity"] = Kind(file("similarity.csv", _SIMILARITY), read_similarity)
    found["results"] = Kind(file("results.csv", _RESULTS), partial(read_results, metric=METRIC))

    work = Work("measured", file("x.tflite", b"x"), Scored, {"a": 1})
    work.finish(Scored(0.5))
    found["record"] = Kind(work.record, lambda path: work.finished(), lambda value: value in (None, Scored(0.5)))

    state = {"weights/0": np.arange(6.0).reshape(2, 3), "search/masks": np.ones((1, 2, 3), bool)}
    Checkpoints(folder / "checkpoints").save(3, state)
    found["checkpoint"] = Kind(
        folder / "checkpoints" / "epoch_00003.npz",
        lambda path: Checkpoints(path.parent).latest(),
        lambda value: (
            value is None or (value[0] == 3 and all(np.array_equal(value[1][key], state[key]) for key in state))
        ),
    )
    weights = PoolWeights(network, structures=2, owned="batch_norm")
    weights.save(folder / "own_weights.npz")
    found["own weights"] = Kind(folder / "own_weights.npz", weights.load)

    rows = tuple(
        SubnetRow(
            each.name, each.rate, Size.of(16), each.macs, each.params, Scores(METRIC, {"top1": 0.5, "top5": 1.0}, 9)
        )
        for each in pool
    )
    table = folder / "subnets.csv"
    statistics = {(each.name, Size.of(16)): [(np.zeros(8), np.ones(8))] for each in pool}
    write_evaluation(folder / "evaluation.npz", PoolEvaluation(rows, statistics), table=table, origin="o")
    found["table"] = Kind(table, partial(read_subnets, metric=METRIC))
    found["evaluation"] = Kind(
        folder / "evaluation.npz",
        lambda path: read_evaluation(path, table=table, metric=METRIC, origin="o", again="evaluate()"),
        lambda value: value.rows == rows,
    )
    pixels = np.full((9, 7, 3), 99, np.uint8)
    read = partial(read_image, resolution=4)
    found["image"] = Kind(file("a.png", tf.io.encode_png(pixels).numpy()), read, cost=2)
    found["photo"] = Kind(file("a.jpg", tf.io.encode_jpeg(pixels).numpy()), read, cost=2)
    found["header"] = Kind(folder / "a.jpg", lambda path: read_header(io.BytesIO(path.read_bytes())))
    network.save(folder / "net.keras")
    found["keras"] = Kind(folder / "net.keras", lambda path: read_file(str(path)), cost=40)
    labelled = with_metadata(converted("int8").read_bytes(), FileMetadata(name="net", labels=("a", "b", "c")))
    found["tflite"] = Kind(file("net.tflite", labelled), read_metadata, lambda value: bool(value.labels), cost=2)
    found["tflite run"] = Kind(folder / "net.tflite", open_network, cost=200)
    return found


@dataclasses.dataclass(frozen=True)
class Scored:
    value: float


_FACTS = {
    "schema_version": 1,
    "version": "0.2.0",
    "data": {"dataset": "d", "class_names": ["a", "b"], "splits": {"train": "0"}},
    "splits": [{"use": "train", "split": "train", "images": 3}],
    "preprocessing": {"resolution": 20, "resize": 20, "method": "bilinear"},
    "dtype_policy": "float32",
    "batch_norm_parts": 1,
    "network": "0",
    "user_modules": {"modules": [], "lambdas": False},
}
_MATRIX = """
seeds = [0, 1]
overrides = ["--epochs=4", "--pruning_rates=0,0.5", "--resolutions=20,16"]

[[run]]
name = "a"
overrides = ["--learning_rate=0.1"]

[[run]]
name = "b"
"""
_PHONES = "file,device,threads,median_ms\na.tflite,Pixel,4,8.5\n"
_SIMILARITY = "epoch,structure,similarity\n1,rate0,\n1,rate50,\n2,rate0,1.0\n2,rate50,0.9\n"
_RESULTS = (
    "epoch,phase,learning_rate,teacher_loss,student_loss,structure,rate,resolution,macs,params,top1,top5,images\n"
)


def case(kind: Kind, random: Random, folder: Path) -> tuple[Path, bytes]:
    """Writes one changed file, alone in a folder, under the name of the sound one."""
    content = kind.path.read_bytes()
    changed = _in_archive(content, random) if kind.path.suffix in (".keras", ".npz") else mutated(content, random)
    path = folder / kind.path.name
    path.write_bytes(changed)
    return path, changed


def _in_archive(content: bytes, random: Random) -> bytes:
    """Changes an archive, or, so that its checksums hold, one of the files in it."""
    if random.random() < 0.5:
        return mutated(content, random)
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as copy:
        chosen = random.choice(source.namelist())
        for name in source.namelist():
            inner = source.read(name)
            copy.writestr(name, _bearable(inner, random) if name == chosen else inner)
    return target.getvalue()


def _bearable(inner: bytes, random: Random) -> bytes:
    """Changes a file inside an archive; a network of a hundred million channels is what was asked for, not a fault."""
    changed = mutated(inner, random)
    digits = max((len(run) for run in "".join(chr(b) if 48 <= b <= 57 else " " for b in changed).split()), default=0)
    return changed if digits <= 5 or not inner.startswith(b"{") else inner


class _TooLong(BaseException):
    """Not an `Exception`, so that no reader takes it for damage."""


def _end(number: int, frame: Any) -> None:
    raise _TooLong


def answer(kind: Kind, path: Path) -> str | None:
    """Reads a file; returns what is wrong with how that ended, if anything."""
    previous = signal.signal(signal.SIGALRM, _end)
    signal.alarm(_SECONDS)
    try:
        value = kind.read(path)
        return None if kind.holds(value) else f"gave {value!r:.200}"
    except (ValueError, OSError) as error:
        return None if str(error).strip() else f"said nothing: {error!r}"
    except _TooLong:
        return f"took more than {_SECONDS} s"
    except BaseException as error:
        return f"ended in {error!r:.300}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def test_no_file_ends_in_a_traceback_a_hang_or_nonsense(kinds, tmp_path, capsys):
    random = Random(SEED)
    names = list(kinds)
    shares = [1 / kinds[name].cost for name in names]
    wrong = []
    for number in range(CASES):
        name = random.choices(names, shares)[0]
        folder = tmp_path / "case"
        folder.mkdir()
        path, content = case(kinds[name], random, folder)
        if (fault := answer(kinds[name], path)) is not None:
            wrong.append(f"{name}, case {number} of seed {SEED}: {fault}; file {content[:300]!r}")
        left = sorted(each.name for each in folder.iterdir())
        if left != [path.name] or path.read_bytes() != content:
            wrong.append(f"{name}, case {number} of seed {SEED}: left {left}")
        path.unlink()
        folder.rmdir()
        capsys.readouterr()
    with capsys.disabled():
        print(f"\n{CASES} cases of seed {SEED}, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("name", ["keras", "tflite", "tflite run"])
def test_costly_kinds_are_tried_too(name, kinds, tmp_path):
    random = Random(SEED + 1)
    for number in range(max(1, 8 // min(8, kinds[name].cost))):
        path, _ = case(kinds[name], random, tmp_path)
        assert answer(kinds[name], path) is None, f"case {number} of seed {SEED + 1}"


def test_every_sound_file_is_read(kinds):
    for name, kind in kinds.items():
        if name != "facts":  # Its version is not today's, which nobody looks at here.
            assert answer(kind, kind.path) is None, name
            kind.read(kind.path)


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["checkpoint", "own weights", "evaluation"])
def test_a_pickle_in_an_archive_is_never_run(name, kinds, tmp_path, capsys):
    mark = tmp_path / "was_here"
    folder = tmp_path / "case"
    folder.mkdir()
    path = folder / kinds[name].path.name
    array = np.empty(1, object)
    array[0] = Payload(mark)
    np.savez(path, allow_pickle=True, weights=array, seal=array, sha256=array)
    assert answer(kinds[name], path) is None
    assert not mark.exists()
    pickle.loads(pickle.dumps(Payload(mark)))
    assert mark.exists()  # The payload works where it is let.


def _keras_with(config: dict[str, Any], source: Path, target: Path) -> Path:
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as copy:
        for name in archive.namelist():
            copy.writestr(name, json.dumps(config) if name == "config.json" else archive.read(name))
    return target


@pytest.mark.parametrize(
    "layer",
    [
        {"module": "os", "class_name": "system", "config": "touch was_here", "registered_name": "system"},
        {"module": "builtins", "class_name": "exec", "config": {"source": "open('was_here', 'w')"}},
        {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "l", "function": {
            "class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}}},
    ],
)  # fmt: skip
def test_code_in_a_keras_file_is_never_run(layer, kinds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(kinds["keras"].path) as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][1] |= layer
    path = _keras_with(config, kinds["keras"].path, tmp_path / "net.keras")
    with pytest.raises(ValueError, match=r"^Expected a \.keras file that Keras can read") as caught:
        read_file(str(path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "was_here").exists()
    with pytest.raises(ValueError):
        open_network(path)


def test_a_run_that_names_code_is_loaded_only_when_trusted(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    module = {"name": "evil", "path": str(tmp_path / "evil.py"), "sha256": "0" * 64}
    (tmp_path / "evil.py").write_text("raise SystemExit('was run')")
    facts = json.loads(json.dumps(_FACTS)) | {"user_modules": {"modules": [module], "lambdas": True}}
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"^Expected trusted=True to import evil, which the network of"):
        ofar_tf.load(tmp_path)


@pytest.mark.parametrize("path", ["../a/a_int8.tflite", "/etc/passwd", "a/../../a.tflite", "link/a.tflite"])
def test_a_path_of_a_manifest_cannot_leave_its_folder(path, header, make_entry, tmp_path):
    inside = tmp_path / "export"
    inside.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.tflite").write_bytes(b"x")
    (inside / "link").symlink_to(tmp_path / "elsewhere")
    write_manifest(inside / "manifest.json", Manifest(**vars(header), models=(make_entry("a", macs=4, top1=0.5),)))
    data = json.loads((inside / "manifest.json").read_text())
    data["models"][0]["path"] = path
    (inside / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"Expected (every file of the manifest within|a path within)"):
        read_export(inside)


@pytest.mark.parametrize("argument", ["--resolutions=300000", "--resolutions=224x300000"])
def test_a_resolution_of_300000_is_refused_before_anything_is_made(argument, parse_command):
    with pytest.raises(ValueError, match=r"^Expected --resolutions .*300000"):
        parse_command(TrainConfig, "--run_dir=r", "--pruning_rates=0,0.5", argument)


def test_a_resolution_of_300000_is_refused_by_the_library_too():
    with pytest.raises(ValueError, match=r"^Expected resolutions of at most 4096 pixels\. Received: 300000\.$"):
        ofar_tf.PoolSpec.of(pruning_rates=[0.0, 0.5], resolutions=[224, (32, 300_000)])
    dataset = ofar_tf.data.load_dataset("fashion_mnist_mini")
    with pytest.raises(ValueError, match=r"^Expected a resolution of at most 4096 pixels\. Received: resolution=3"):
        ofar_tf.data.evaluation_batches(dataset, "test[:4]", batch_size=4, resolution=300_000)


def test_a_keras_file_of_300000_pixels_is_no_reason_to_take_memory(kinds, tmp_path):
    model = keras.Sequential([keras.Input((300_000, 300_000, 3)), keras.layers.GlobalAveragePooling2D()])
    model.save(tmp_path / "net.keras")
    with pytest.raises(ValueError, match="Expected a classifier of square RGB images of at most 4,096 pixels"):
        open_network(tmp_path / "net.keras")
