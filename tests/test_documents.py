"""What documents say holds: links lead somewhere, flags and names exist, and output is what the program prints."""

import ast
import dataclasses
import inspect
import json
import re
import textwrap
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ofar_tf
from docs import refresh
from ofar_tf.console import COMMANDS
from ofar_tf.pruning.channel_groups import ChannelGroups, find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.run.device.device_config import DeviceConfig
from ofar_tf.run.doctor_config import DoctorConfig
from ofar_tf.run.evaluate_config import EvaluateConfig
from ofar_tf.run.export_config import ExportConfig
from ofar_tf.run.matrix.matrix_config import RunMatrixConfig
from ofar_tf.run.settings import parse_setting
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.shipping.package_config import PackageConfig
from ofar_tf.shipping.predict_config import PredictConfig
from ofar_tf.shipping.select_config import SelectConfig
from ofar_tf.tasks.task import Evaluator, Task

CHECKOUT = Path(__file__).parents[1]
PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "CONTRIBUTING.md",
    CHECKOUT / "SECURITY.md",
    *sorted((CHECKOUT / "docs").glob("*.md")),
]
OTHERS = [CHECKOUT / folder / "README.md" for folder in ("benchmarks", "experiments", "export", "notebooks", "results")]
CONFIGS = (
    TrainConfig,
    EvaluateConfig,
    ExportConfig,
    SelectConfig,
    PackageConfig,
    RunMatrixConfig,
    PredictConfig,
    DoctorConfig,
    DeviceConfig,
)
# Every command has the first two; the third is TensorBoard's.
FURTHER_FLAGS = {"help", "flagfile", "logdir"}
KNOWN = FURTHER_FLAGS | {field.name for config in CONFIGS for field in dataclasses.fields(config)}
PUBLIC = ("ofar_tf", "ofar_tf.data", "ofar_tf.models")


def name_of(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def python_blocks(page: Path) -> Iterator[str]:
    return map(textwrap.dedent, re.findall(r"^```python\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name_of)
def test_every_link_leads_to_a_page_and_a_heading_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name_of)
def test_every_file_of_ours_that_is_named_exists(page: Path) -> None:
    for path in re.findall(r"`((?:\w+/)+\w+\.(?:py|md|toml|flagfile))`", text_of(page)):
        assert any((root / path).exists() for root in (CHECKOUT, CHECKOUT / "ofar_tf")), path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_flag_that_is_shown_exists(page: Path) -> None:
    lines = [line for line in text_of(page).splitlines() if not line.startswith("#SBATCH")]
    shown = set(re.findall(r"(?<![\w-])--([a-z]\w*)(?![\w-])", "\n".join(lines)))
    assert shown - KNOWN == set()


def _is_taken(name: str, value: str) -> bool:
    for field in (field for config in CONFIGS for field in dataclasses.fields(config) if field.name == name):
        choices = field.metadata["choices"]
        try:
            parsed = parse_setting(field, value)
        except ValueError:
            continue
        if not choices or set(parsed if isinstance(parsed, tuple) else [parsed]) <= set(choices):
            return True
    return name in FURTHER_FLAGS


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name_of)
def test_every_value_that_is_shown_is_one_that_its_flag_takes(page: Path) -> None:
    lines = [line for line in text_of(page).splitlines() if not line.startswith("#SBATCH")]
    for name, text in re.findall(r"(?<![\w-])--([a-z]\w*)=('[^']*'|[^\s`'\")(]+)", "\n".join(lines)):
        for value in text.strip("'").rstrip(",.;:").split("|"):
            # What stands for a value, and flags of other programs.
            if value and not value.isupper() and value != "n" and value[0] != "$" and name in KNOWN:
                assert _is_taken(name, value), f"--{name}={value}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_is_shown_exists(page: Path) -> None:
    for module in re.findall(r"python -m (ofar_tf\.\w+)", text_of(page)):
        assert (CHECKOUT / module.replace(".", "/")).with_suffix(".py").exists()
    shown = re.findall(r"(?:^    |`|\()ofar (\w+)", text_of(page), re.MULTILINE)
    assert set(shown) <= {*COMMANDS, "COMMAND"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_that_is_shown_uses_names_that_exist(page: Path) -> None:
    for block in python_blocks(page):
        homes = {name: name for name in PUBLIC}
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "ofar_tf":
                rooms = [alias.name for alias in node.names if inspect.ismodule(getattr(ofar_tf, alias.name, None))]
                homes |= {name: f"ofar_tf.{name}" for name in rooms}
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ofar_tf"):
                module = import_module(str(node.module))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in homes:
                assert hasattr(import_module(homes[ast.unparse(node.value)]), node.attr), ast.unparse(node)


def test_from_a_folder_to_files_takes_ten_lines() -> None:
    (block,) = python_blocks(CHECKOUT / "docs" / "pretrained.md")
    lines = [line for line in block.splitlines() if line and not line.startswith(("import ", "from "))]
    assert lines[0].startswith("photos = ") and "export_family" in lines[-1]
    assert len(lines) == 10


def test_worked_examples_are_short() -> None:
    for block in python_blocks(CHECKOUT / "docs" / "extending.md"):
        assert sum(bool(line) for line in block.splitlines()) < 40


def test_the_task_that_is_shown_has_all_that_a_task_needs() -> None:
    block = next(block for block in python_blocks(CHECKOUT / "docs" / "extending.md") if "Regression" in block)
    names: dict[str, Any] = {}
    exec(block, names)
    assert {name for name in vars(Task) if not name.startswith("_")} <= set(dir(names["Regression"]()))
    assert {name for name in vars(Evaluator) if not name.startswith("_")} <= set(dir(names["MeanSquaredError"]()))


def test_the_network_and_the_criterion_that_are_shown_work() -> None:
    network, _, criterion, *_ = python_blocks(CHECKOUT / "docs" / "extending.md")
    names: dict[str, Any] = {"np": np, "ChannelGroups": ChannelGroups}
    exec(network, names)
    exec(criterion, names)
    groups = find_channel_groups(names["small"](classes=3))
    assert [group.size for group in groups.groups] == [16, 32, 64]
    whole, counted = Costs(groups).params(ChannelMask.full(groups)), names["_params_per_channel"](groups)
    for group in groups.groups:
        keep = np.ones(groups.size, bool)
        keep[group.start] = False
        assert counted[group.start] == whole - Costs(groups).params(ChannelMask(groups.groups, keep))


def run_block(page: str) -> dict[str, Any]:
    """What the only Python of a page leaves behind, run in the current folder."""
    (block,) = python_blocks(CHECKOUT / "docs" / page)
    names: dict[str, Any] = {}
    exec(block, names)
    return names


def write_images(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True)
    paths = [folder / f"{index}.png" for index in range(count)]
    for path in paths:
        keras.utils.save_img(path, np.full((24, 32, 3), 100, np.uint8), scale=False)
    return paths


def test_batches_of_images_with_boxes_are_as_their_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "val"):
        files = write_images(tmp_path / "CELLS" / split, 16)
        images = [{"id": i, "file_name": file.name, "height": 24, "width": 32} for i, file in enumerate(files)]
        boxes = [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [4, 5, 8, 10], "area": 80.0, "iscrowd": 0}]
        told = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cell"}]}
        (tmp_path / "CELLS" / f"instances_{split}.json").write_text(json.dumps(told))
    monkeypatch.chdir(tmp_path)
    names = run_block("data_with_boxes.md")
    text = " ".join(text_of(CHECKOUT / "docs" / "data_with_boxes.md").split("labels a dict:")[1].split("##")[0].split())
    said = {
        key: shape.split(", ")
        for several, shape in re.findall(r"((?:`\w+`(?: and )?)+) `\[([^\]]+)\]`", text)
        for key in re.findall(r"\w+", several.replace(" and ", " "))
    }
    assert len(said) == 7
    for batches in (names["train"], names["validation"]):
        batch, labels = next(iter(batches))
        assert tuple(batch.shape) == (16, 192, 256, 3)
        assert {key: len(shape) for key, shape in said.items()} == {
            key: len(each.shape) for key, each in labels.items()
        }
        assert [labels[key].shape[-1] for key, shape in said.items() if shape[-1].isdigit()] == [4, 2, 2]


def test_weights_of_classes_are_made_as_their_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "PHOTOS" / "cat", 96)
    write_images(tmp_path / "PHOTOS" / "dog", 32)
    monkeypatch.chdir(tmp_path)
    names = run_block("your_data.md")
    counts = np.array(names["counts"])
    assert counts.sum() == names["photos"].num_examples("train")
    np.testing.assert_allclose(np.array(names["task"].class_weights) * counts, counts.sum() / 2)
    images, labels = next(iter(names["train"]))
    assert tuple(images.shape) == (64, 224, 224, 3) and tuple(labels.shape)[:1] == (64,)


def test_the_page_of_the_manifest_has_every_key() -> None:
    schema = json.loads(text_of(CHECKOUT / "ofar_tf" / "family" / "manifest.schema.json"))
    entry = schema["$defs"]["ModelEntry"]
    page = text_of(CHECKOUT / "docs" / "manifest.md")
    cells = (re.findall(r"^\| (`[^|]*) \|", part, re.MULTILINE) for part in page.split("Of each file:"))
    for keys, known in zip(cells, (schema, entry), strict=True):
        shown = set(re.findall(r"`(\w+)`", " ".join(keys)))
        assert shown - {"top1_interval"} == set(known["properties"])
    assert any(re.match(pattern, "top1_interval") for pattern in entry["patternProperties"])


def _messages(path: Path) -> Iterator[str]:
    """The texts of a module, with `{}` for what is only known when they are said."""
    for node in ast.walk(ast.parse(text_of(path))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_message_that_is_shown_is_one_of_the_programs() -> None:
    known = [text for path in (CHECKOUT / "ofar_tf").rglob("*.py") for text in _messages(path)]
    for page in PAGES:
        for shown in re.findall(r"`(Expected [^`]*)`", text_of(page)):
            for part in re.split(r"\.\.\.|\d+|\(.*\)| Received:.*", shown):
                words = [rf"(?:{re.escape(word)}|\{{\}})" for word in part.split()]
                assert any(re.search(" ".join(words), text) for text in known), shown


def test_what_documents_show_of_the_program_is_what_it_says_today() -> None:
    stale = [name_of(page) for page, text in refresh.refreshed() if text != text_of(page)]
    assert stale == [], "python docs/refresh.py writes them anew"
    assert refresh.picture_source() in text_of(refresh.PICTURE), "python docs/refresh.py draws it anew"


def test_the_flags_of_every_command_are_listed() -> None:
    assert set(refresh.CONFIGS) == set(COMMANDS)
    listed = text_of(CHECKOUT / "docs" / "methods_and_options.md").replace("--[no]", "--")
    for config in CONFIGS:
        for field in dataclasses.fields(config):
            assert f"| `--{field.name}` |" in listed


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(text_of(CHECKOUT / "README.md").encode()) <= 8192


def _leaves(entries: list[Any]) -> Iterator[str]:
    for value in (value for entry in entries for value in entry.values()):
        if isinstance(value, list):
            yield from _leaves(value)
        else:
            yield value


def test_every_page_is_in_the_site_and_reached_from_it() -> None:
    nav = tomllib.loads(text_of(CHECKOUT / "zensical.toml"))["project"]["nav"]
    assert sorted(_leaves(nav)) == sorted(page.name for page in (CHECKOUT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", sorted((CHECKOUT / ".github").rglob("*.yml")), ids=name_of)
def test_templates_for_issues_ask_for_what_the_doctor_says(page: Path) -> None:
    assert page.parent.name != "ISSUE_TEMPLATE" or page.stem == "config" or "ofar doctor" in text_of(page)
    assert page.parent.name != "workflows" or "run: .ci/run" in text_of(page)
