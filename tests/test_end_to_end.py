import csv
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ofar_tf
from ofar_tf.devices.accelerators import is_accelerated
from ofar_tf.export import _choose
from ofar_tf.run.finished_run import FinishedRun

TRAIN = (
    "--dataset=fashion_mnist_mini",
    "--train_split=train[:256]",
    "--eval_split=test[:100]",
    "--augmentation=pad_and_crop",
    "--model=resnet8",
    "--width_multiplier=0.5",
    "--pruning_rates=0.0,0.5",
    "--min_channels=4",
    "--channel_round_to=4",
    "--resolutions=20,16",
    "--epochs=2",
    "--search_epochs=1",
    "--batch_size=64",
    "--calibration_images=128",
)


Command = Callable[..., subprocess.CompletedProcess[str]]


def process(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The suite gives each operator one thread, since several of its processes run at once.
    environment = {key: value for key, value in os.environ.items() if key != "TF_NUM_INTRAOP_THREADS"}
    command = [sys.executable, "-m", f"ofar_tf.{name}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def command(run_command: Command, in_process: None) -> Command:
    """The commands in this process, and what they convert too: processes are what `run_dir` tests."""
    return run_command


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by the commands as a user calls them, each in a process of its own."""
    path = tmp_path_factory.mktemp("end_to_end") / "run"
    trained = process("train", *TRAIN, f"--run_dir={path}")
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.splitlines()[-1] == f"Next: {sys.executable} -m ofar_tf evaluate --run_dir={path}"
    evaluated = process("evaluate", f"--run_dir={path}")
    assert evaluated.returncode == 0, evaluated.stderr
    assert evaluated.stdout.splitlines()[-1] == f"Next: {sys.executable} -m ofar_tf export --run_dir={path}"
    # With a hundred images, one point of int8 accuracy is one image: whether files pass is not the question here.
    exported = process("export", f"--run_dir={path}", "--only=rate50@16", "--representative_images=64")
    assert exported.returncode in (0, 1), exported.stderr
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def entries(run_dir: Path) -> list[dict]:
    return json.loads((run_dir / "export" / "manifest.json").read_text())["models"]


def test_a_run_directory_holds_everything_about_the_run_under_fixed_names(run_dir: Path) -> None:
    names = {
        "config.json",
        "run.flagfile",
        "environment.json",
        "labels.txt",
        "results.csv",
        "curves.png",
        "similarity.csv",
        "similarity.png",
        "pool.json",
        "checkpoints",
        "supernet.keras",
        "subnets.csv",
        "pareto.png",
        "train",
        "export",
    }
    assert names <= {path.name for path in run_dir.iterdir()}


def test_a_start_notes_its_cores_and_how_many_an_operator_takes(run_dir: Path) -> None:
    (start,) = json.loads((run_dir / "environment.json").read_text())
    assert start["operator_threads"] == (0 if is_accelerated() else math.ceil(start["cores"] / 2))


def test_results_have_a_row_per_epoch_and_subnet(run_dir: Path) -> None:
    found = [(row["epoch"], row["phase"], row["structure"]) for row in rows(run_dir / "results.csv")]
    assert found == [
        ("1", "search", "rate0"),
        ("1", "search", "rate50"),
        ("2", "joint", "rate0"),
        ("2", "joint", "rate50"),
    ]


def test_every_structure_is_measured_at_every_resolution_on_the_whole_evaluation_split(run_dir: Path) -> None:
    table = rows(run_dir / "subnets.csv")
    assert list(table[0]) == ["structure", "rate", "resolution", "macs", "params", "top1", "top5", "images", "pareto"]
    assert [(row["structure"], row["resolution"]) for row in table] == [
        ("rate0", "20"),
        ("rate0", "16"),
        ("rate50", "20"),
        ("rate50", "16"),
    ]
    assert {row["images"] for row in table} == {"100"}


def test_the_pool_costs_what_the_table_says(run_dir: Path) -> None:
    pool = {entry["name"]: entry for entry in json.loads((run_dir / "pool.json").read_text())["structures"]}
    for row in rows(run_dir / "subnets.csv"):
        assert int(row["params"]) == pool[row["structure"]]["params"]
        if row["resolution"] == "20":
            assert int(row["macs"]) == pool[row["structure"]]["macs"]


def test_the_exported_files_agree_with_the_network_that_was_trained(run_dir: Path) -> None:
    float32, int8 = sorted(entries(run_dir), key=lambda entry: entry["quantization"])
    assert (float32["quantization"], int8["quantization"]) == ("float32", "int8")
    for entry in (float32, int8):
        assert entry["parity"]["masked_sliced"] < 1e-4
        assert entry["parity"]["sliced_keras"] < 1e-4
        assert entry["input"]["shape"] == [1, 16, 16, 3]
        assert entry["checks"]["builtin_only"] and entry["checks"]["static_shape"] and entry["checks"]["finite"]
        assert (run_dir / "export" / entry["path"]).stat().st_size == entry["bytes"]
    assert float32["checks"]["passed"] and float32["checks"]["max_difference"] < 1e-5
    assert float32["metrics"]["top1"] == float32["metrics"]["keras_top1"]
    assert int8["input"]["dtype"] == int8["output"]["dtype"] == "uint8"


def test_the_accuracy_of_the_exported_keras_file_is_that_of_the_calibrated_subnet(run_dir: Path) -> None:
    (row,) = [row for row in rows(run_dir / "subnets.csv") if (row["structure"], row["resolution"]) == ("rate50", "16")]
    assert {entry["metrics"]["keras_top1"] for entry in entries(run_dir)} == {float(row["top1"])}


def test_the_exported_keras_file_loads_where_this_library_does_not_exist(run_dir: Path, tmp_path: Path) -> None:
    (path,) = run_dir.glob("export/*/*.keras")
    program = (
        "import sys; sys.modules['ofar_tf'] = None; import keras; "
        f"model = keras.models.load_model({str(path)!r}); "
        "assert all(type(layer).__module__.startswith('keras.') for layer in model.layers); "
        "print(model.count_params())"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    assert int(loaded.stdout) == entries(run_dir)[0]["params"]


def test_select_prints_one_path_that_exists_and_nothing_else(run_dir: Path, command: Command) -> None:
    selected = command("select", f"--export_dir={run_dir / 'export'}", "--max_macs=100M", "--quantization=float32")
    assert selected.returncode == 0, selected.stderr
    (path,) = selected.stdout.splitlines()
    assert Path(path).is_file() and path.endswith("_r16_float32.tflite")
    assert selected.stderr.startswith("Chosen: ") and path.removeprefix(f"{run_dir}/export/") in selected.stderr


def test_measurements_on_a_phone_join_those_of_this_machine(run_dir: Path, command: Command, tmp_path: Path) -> None:
    before = entries(run_dir)
    assert [[measured["threads"] for measured in entry["latency"]] for entry in before] == [[1]] * len(before)
    path, table = before[0]["path"], tmp_path / "phone.csv"
    again = ("export", f"--run_dir={run_dir}", "--only=rate50@16", "--precisions=float32", f"--import_latency={table}")
    table.write_text("file,device,threads,median_ms\nelsewhere.tflite,phone,4,7.5\n")
    refused = command(*again)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1 and "elsewhere.tflite" in refused.stderr
    assert entries(run_dir) == before
    table.write_text(f"file,device,threads,median_ms\n{path},phone,4,7.5\n")
    assert command(*again).returncode in (0, 1)
    new = {"device": "phone", "threads": 4, "median_ms": 7.5, "p90_ms": None, "p95_ms": None, "runs": None}
    assert new in entries(run_dir)[0]["latency"] and before[0]["latency"][0] in entries(run_dir)[0]["latency"]
    export = f"--export_dir={run_dir / 'export'}"
    selected = command("select", export, "--device=phone", "--max_latency_ms=8")
    assert selected.stdout == f"{run_dir / 'export' / path}\n"


def test_select_says_what_is_nearest_when_nothing_fits(run_dir: Path, command: Command) -> None:
    selected = command("select", f"--export_dir={run_dir / 'export'}", "--max_macs=1K")
    assert selected.returncode == 2 and selected.stdout == ""
    assert len(selected.stderr.splitlines()) == 1 and "nearest is" in selected.stderr


def test_a_finished_run_is_neither_trained_again_nor_changed(run_dir: Path, command: Command) -> None:
    before = {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    again = command("train", *TRAIN, f"--run_dir={run_dir}")
    assert again.returncode == 0
    assert again.stdout.splitlines()[0] == f"The run in {run_dir} is finished; nothing was changed."
    assert before == {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}


def test_a_second_export_repeats_no_conversion_and_adds_to_the_first(run_dir: Path, command: Command) -> None:
    first = {path: path.stat().st_mtime_ns for path in run_dir.glob("export/*/*.tflite")}
    assert command("export", f"--run_dir={run_dir}", "--only=rate50@16", "--precisions=float16").returncode in (0, 1)
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert [entry["quantization"] for entry in entries(run_dir)] == ["float32", "float16", "int8"]


def test_a_run_is_a_family_that_exports_with_the_runs_own_images(
    run_dir: Path, in_process: None, tmp_path: Path
) -> None:
    family = ofar_tf.load(run_dir)
    table = [(row.structure, str(row.resolution), row.macs) for row in family.table]
    assert table == [(row["structure"], row["resolution"], int(row["macs"])) for row in rows(run_dir / "subnets.csv")]
    for refused_images in (family.evaluate, lambda **given: family.export(tmp_path / "files", **given)):
        with pytest.raises(ValueError, match=r"^Expected no images: a run has its own\. Received: validation\.$"):
            refused_images(validation=[])
    options = {"precisions": ["float32"], "workers": 1, "latency_threads": 0, "report_images": 0}
    result = family.export(tmp_path / "files", **options)
    assert not result.failures
    assert len(result.manifest.models) == sum(row["pareto"] == "True" for row in rows(run_dir / "subnets.csv"))
    assert (tmp_path / "files" / "labels.txt").read_bytes() == (run_dir / "labels.txt").read_bytes()


@pytest.fixture
def copy(run_dir: Path, tmp_path: Path) -> Path:
    """The run without its export, to be changed."""
    return Path(shutil.copytree(run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("export", "train")))


def refused(run_dir: Path) -> str:
    with pytest.raises(ValueError, match="Expected ") as refusal:
        FinishedRun(str(run_dir)).evaluated()
    (line,) = str(refusal.value).splitlines()
    return line


def test_a_table_of_subnets_that_was_edited_is_refused_in_one_line(copy: Path) -> None:
    table = copy / "subnets.csv"
    table.write_text(table.read_text().replace("rate50", "rate51"))
    assert refused(copy).endswith("Received: one that was changed since.")


def test_a_table_of_another_training_is_refused_in_one_line(copy: Path) -> None:
    with (copy / "pool.json").open("a") as file:
        file.write(" ")
    (copy / "SHA256SUMS").unlink()
    assert refused(copy).endswith("Received: that of another training.")


@pytest.mark.parametrize(("cell", "changed"), [("rate50,", "rate51,"), ("rate50,0.5,16,", "rate50,0.5,17,")])
def test_an_unsealed_table_with_an_unknown_structure_or_resolution_is_refused_in_one_line(
    copy: Path, cell: str, changed: str
) -> None:
    # As in a run of version 0.1.0, which sealed nothing.
    (copy / "evaluation.npz").unlink()
    table = copy / "subnets.csv"
    assert cell in table.read_text()
    table.write_text(table.read_text().replace(cell, changed))
    assert "Received: 'rate5" in refused(copy)


def test_an_unsealed_table_with_other_costs_is_refused_and_the_table_of_an_older_version_is_taken(copy: Path) -> None:
    (copy / "evaluation.npz").unlink()
    found = FinishedRun(str(copy)).evaluated()
    assert len(found.rows) == 4 and found.statistics == {}
    table, macs = copy / "subnets.csv", found.rows[0].macs
    table.write_text(table.read_text().replace(f",{macs},", f",{macs + 1},"))
    assert f"macs={macs + 1}" in refused(copy)


def test_export_of_a_structure_that_does_not_exist_is_refused_in_one_line(run_dir: Path, command: Command) -> None:
    refused = command("export", f"--run_dir={run_dir}", "--only=rate99")
    assert refused.returncode == 2
    assert refused.stderr == (
        "Error: Expected --only=pareto, all, or a list of STRUCTURE, @RESOLUTION or STRUCTURE@RESOLUTION with rate0, "
        "rate50 at 20, 16. Received: 'rate99'.\n"
    )


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["@16"], ["rate0@16", "rate50@16"]),
        (["rate50"], ["rate50@20", "rate50@16"]),
        (["rate0@20", "@16"], ["rate0@20", "rate0@16", "rate50@16"]),
    ],
)
def test_a_list_of_what_is_exported_names_structures_resolutions_or_both(
    run_dir: Path, only: list[str], expected: list[str]
) -> None:
    chosen = _choose(FinishedRun(str(run_dir)).evaluated().rows, only)
    assert [f"{row.structure}@{row.resolution}" for row in chosen] == expected
