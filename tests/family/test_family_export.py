import dataclasses
import io
import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
from rich.console import Console

from ofar_tf.checks import measurement
from ofar_tf.conversion import lanes
from ofar_tf.conversion.images import FamilyImages
from ofar_tf.conversion.jobs import ConversionResult
from ofar_tf.conversion.member import FamilyMember
from ofar_tf.family import examples, stages
from ofar_tf.family.examples import draw_examples
from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.family.family_export import export_family
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.manifest import read_manifest
from ofar_tf.files.atomic_file import sha256_of
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.tflite.metadata import Credits, FileMetadata, read_metadata, read_training_images

LABELS = ("red", "green", "blue")
pytestmark = pytest.mark.usefixtures("in_process")


def member_of(model, resolution, *, name="net"):
    return FamilyMember(
        id=f"{name}_ofar_half_r{resolution}",
        structure="half",
        rate=0.5,
        resolution=resolution,
        macs=resolution**2 * 100,
        params=model.count_params(),
        model=lambda: model,
        origin=f"{name} {resolution}",
    )


@pytest.fixture(scope="module")
def members(network, make_network):
    smaller = make_network(12)
    smaller.set_weights(network.get_weights())
    return [member_of(smaller, 12), member_of(network, 16)]


@pytest.fixture(scope="module")
def settings(members, header, make_images_at):
    """Everything that an export needs but the members and the folder; the labels are Keras's own answers."""
    models = {member.resolution: member.build(check_output=lambda shape: None) for member in members}

    def evaluation_batches(resolution):
        images = make_images_at(resolution.height, count=40)
        yield images, models[resolution].predict(images, verbose=0).argmax(-1)

    return {
        "labels": LABELS,
        "header": header,
        "images": FamilyImages(
            evaluation_batches, lambda size, images: make_images_at(size.height, count=images, seed=5), depth=12
        ),
        "spec": ExportSpec(
            representative_images=24,
            credits=Credits(description="Colours.", license="CC0", version="3", author="Ada"),
        ),
    }


def export(members, path, *, console=None, **options):
    """Exports to a path, with some entries of the specification changed."""
    changes = {name: options.pop(name) for name in ("precisions",) if name in options}
    options["spec"] = dataclasses.replace(options["spec"], **changes)
    with FamilyFolder(path) as folder:
        return export_family(
            members, task=Classification(3), folder=folder, console=console or Console(quiet=True), **options
        )


@pytest.fixture(scope="module")
def exported(members, settings, tmp_path_factory):
    """The folder of a finished export beside a file of the user's, the result, and what was printed."""
    folder = tmp_path_factory.mktemp("run") / "export"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    screen = io.StringIO()
    result = export(members, folder, console=Console(file=screen, width=120), **settings)
    return folder, result, screen.getvalue()


@pytest.fixture
def no_work(monkeypatch):
    """Makes every conversion and measurement an error."""

    def refuse(*_, **__):
        raise AssertionError("This work was done already.")

    done = [(lanes, "WorkerProcess"), (measurement, "check_file"), (measurement, "keras_run"), (examples, "tflite_run")]
    for module, name in done:
        monkeypatch.setattr(module, name, refuse)


def visible_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("[!.]*") if path.is_file())


def test_the_folder_holds_the_files_of_the_design(exported):
    folder, result, _ = exported
    assert result.failures == ()
    names = [f"net_ofar_half_r{resolution}" for resolution in (12, 16)]
    assert visible_files(folder) == sorted(
        ["README.md", "benchmark_on_phone.sh", "files.csv", "labels.txt", "manifest.json", "notes.txt", "pareto.png"]
        + ["report.html"]
        + [f"{name}/{name}{ending}" for name in names for ending in (".keras", "_float32.tflite", "_int8.tflite")]
        + [f"{name}/{name}_int8.layers.csv" for name in names]
        + [f"{name}/{name}_int8.layers.json" for name in names]
        + [f"{name}/{name}{kind}.predictions.npz" for name in names for kind in ("", "_float32", "_int8")]
    )
    assert (folder / "labels.txt").read_text() == "red\ngreen\nblue\n"
    assert not list(folder.rglob(".partial_*"))


def test_the_manifest_tells_the_truth_about_each_file(exported):
    folder, result, _ = exported
    manifest = read_manifest(folder / "manifest.json")
    assert manifest == result.manifest
    assert [(entry.resolution, entry.quantization) for entry in manifest.models] == [
        (resolution, quantization) for resolution in (16, 12) for quantization in ("int8", "float32")
    ]
    for entry in manifest.models:
        assert entry.sha256 == sha256_of(folder / entry.path)
        assert entry.bytes == (folder / entry.path).stat().st_size
        assert entry.checks.passed and entry.checks.images == 32
        assert entry.metrics.images == 40 and entry.metrics.keras == 1.0 and entry.metrics.best >= 0.99
        assert entry.input.shape == (1, entry.resolution, entry.resolution, 3)
        assert entry.input.dtype == {"int8": "uint8", "float32": "float32"}[entry.quantization]
    # Both resolutions are fully accurate, so the cheaper one alone is on the front.
    assert [entry.resolution for entry in manifest.models if entry.pareto] == [12, 12]


def test_each_file_names_its_classes_its_makers_and_its_licence(exported):
    folder, result, _ = exported
    for entry in result.manifest.models:
        network = f"3 classes, {entry.resolution}x{entry.resolution} pixels, {entry.macs / 1e3:.3g}K multiply-adds"
        assert read_metadata(folder / entry.path) == FileMetadata(
            name=entry.id,
            description=f"Colours. Image classifier, {network}, structure half.",
            version="3",
            license="CC0",
            author="Ada",
            labels=LABELS,
            depth=12,
        )
        assert read_training_images(folder / entry.path) == (None, 12)


def test_progress_ends_with_every_step_done(exported):
    # Two members saved, four files converted, four files checked.
    assert "10/10" in exported[2]


def test_the_same_call_again_does_no_work_and_gives_the_same_manifest(exported, members, settings, no_work):
    folder, result, _ = exported
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.suffix in (".keras", ".tflite")}
    assert export(members, folder, **settings) == result
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert (folder / "notes.txt").read_text() == "mine"


def test_the_report_shows_what_the_most_accurate_and_the_smallest_file_say_of_eight_images(exported):
    folder, result, _ = exported
    page = (folder / "report.html").read_text().replace("<wbr>", "")
    best = max(result.manifest.models, key=lambda entry: entry.metrics.best)
    smallest = min(result.manifest.models, key=lambda entry: (entry.macs, entry.bytes))
    names = [f"<h3>{entry.path.partition('/')[2]}</h3>" for entry in (best, smallest)]
    assert smallest.resolution == 12 and 0 < page.find(names[0]) < page.find(names[1])
    assert page.count("<img ") == page.count('src="data:image/webp;base64,') == 16


def test_pictures_that_are_not_wanted_any_more_are_forgotten(exported, settings, tmp_path):
    shutil.copytree(exported[0], tmp_path / "export")
    records = "*/.*.tflite.examples.json"
    assert len(list(tmp_path.glob(f"export/{records}"))) == 2
    given = {"task": Classification(3), "labels": LABELS, "images": settings["images"]}
    with FamilyFolder(tmp_path / "export") as folder:
        few = draw_examples(exported[1].manifest, folder=folder, count=2, **given)
        assert [len(shown) for shown in few.values()] == [2, 2]
        assert draw_examples(exported[1].manifest, folder=folder, count=0, **given) == {}
    assert list(tmp_path.glob(f"export/{records}")) == []


def test_an_export_that_stops_halfway_has_no_manifest(exported, members, settings, monkeypatch, tmp_path):
    monkeypatch.setattr(stages, "convert_files", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    (tmp_path / "manifest.json").write_bytes((exported[0] / "manifest.json").read_bytes())
    with pytest.raises(KeyboardInterrupt):
        export(members, tmp_path, **settings)
    assert not (tmp_path / "manifest.json").exists()


def test_the_keras_files_name_nothing_of_this_package(exported):
    # tests/test_end_to_end.py loads one in a process where there is no ofar_tf.
    path = exported[0] / "net_ofar_half_r16" / "net_ofar_half_r16.keras"
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
    assert '"module": "keras.layers"' in config and "ofar_tf" not in config


def test_a_file_that_fails_its_check_is_marked(settings, network, tmp_path):
    broken = keras.models.clone_model(network)
    broken.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    result = export([member_of(broken, 16)], tmp_path, precisions=("float32",), **settings)
    assert result.failures == ("net_ofar_half_r16_float32: 100% of its scores are not finite.",)
    (entry,) = read_manifest(tmp_path / "manifest.json").models
    assert not entry.checks.passed and not entry.pareto and entry.metrics.best == 0.0
    assert "failed: 100% of its scores are not finite." in (tmp_path / "README.md").read_text()


def test_a_conversion_that_fails_is_reported_and_has_no_entry(members, settings, monkeypatch, tmp_path):
    def convert_all_but_int8(wanted, **_):
        return [ConversionResult(job, error="ConverterError: no") for job in wanted]

    monkeypatch.setattr(stages, "convert_files", convert_all_but_int8)
    result = export(members[:1], tmp_path, precisions=("int8",), **settings)
    assert result.failures == ("net_ofar_half_r12_int8: ConverterError: no",)
    assert result.manifest.models == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": []}, r"Expected at least one member and no id twice. Received: \[\]."),
        ({"labels": []}, r"Expected class names of one line each. Received: \[\]."),
        ({"labels": ["a", "b\nc", "d"]}, "Expected class names of one line each."),
        ({"labels": ["a", "b"]}, r"Expected an output of shape \(None, 2\). Received: \(None, 3\)"),
        ({"precisions": ()}, "Expected at least one precision and none twice."),
        ({"precisions": ("int8", "int8")}, "Expected at least one precision and none twice."),
        ({"precisions": ("int4",)}, "Expected one of the precisions"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, message, members, settings, tmp_path):
    arguments = {"members": members, **settings, **changes}
    with pytest.raises(ValueError, match=message):
        export(arguments.pop("members"), tmp_path, **arguments)
    assert not list(tmp_path.rglob("*.tflite"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "Net-1"}, "Expected an id of lower case letters, digits and underscores. Received: id='Net-1'."),
        ({"rate": 1.0}, r"Expected a pruning rate in \[0, 1\). Received: rate=1.0"),
        ({"macs": 0}, "Expected positive macs and params. Received: 0, "),
    ],
)
def test_a_member_that_makes_no_sense_is_refused(changes, message, members):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(members[0], **changes)


@pytest.fixture
def float32(settings, tmp_path):
    """Exports members in float32 only, to one folder."""

    def run(members, **changes):
        return export(members, tmp_path / "export", **{**settings, "precisions": ("float32",), **changes})

    run.folder = tmp_path / "export"
    return run


@pytest.fixture(scope="module")
def smaller_alone(members, settings, tmp_path_factory):
    """The folder of an export of the smaller member in float32, and the result."""
    folder = tmp_path_factory.mktemp("smaller") / "export"
    return folder, export(members[:1], folder, **{**settings, "precisions": ("float32",)})


@pytest.fixture
def first(smaller_alone, float32):
    """What the smaller member's export gave, which came first into the folder of `float32`."""
    shutil.copytree(smaller_alone[0], float32.folder)
    return smaller_alone[1]


def test_a_second_export_keeps_the_files_of_the_first_only_if_they_were_made_of_the_same_images_and_says_so(
    members, header, float32, first
):
    same = float32(members[1:])
    assert {entry.id for entry in same.manifest.models} == {member.id for member in members}
    other = dataclasses.replace(header, dataset={**header.dataset, "origin": "another training"})
    result = float32(members[1:], header=other)
    assert [entry.id for entry in result.manifest.models] == [members[1].id]
    (warning,) = result.warnings
    assert warning.startswith(f"{members[0].id}_float32: in the folder, but not in the manifest any more")


def test_files_of_an_earlier_export_keep_the_versions_that_made_them(members, header, float32, first):
    assert first.manifest.models[0].versions == {"ofar_tf": "0.1.0"}
    later = dataclasses.replace(header, versions={"ofar_tf": "0.2.0"})
    second = float32(members[1:], header=later)
    assert second.manifest.versions == {"ofar_tf": "0.2.0"}
    versions = {entry.id: entry.versions for entry in second.manifest.models}
    assert versions == {members[0].id: {"ofar_tf": "0.1.0"}, members[1].id: {"ofar_tf": "0.2.0"}}
    # Asked for again, it is measured again, but it is the file that the earlier version made.
    third = float32(members[:1], header=later)
    assert {entry.id: entry.versions for entry in third.manifest.models} == versions


def test_entries_that_name_no_versions_were_made_with_those_of_their_manifest(members, header, float32, first):
    path = float32.folder / "manifest.json"
    data = json.loads(path.read_text())
    del data["models"][0]["versions"]  # As version 0.1.0 wrote it.
    path.write_text(json.dumps(data))
    second = float32(members[1:], header=dataclasses.replace(header, versions={"ofar_tf": "0.2.0"}))
    (kept,) = [entry for entry in second.manifest.models if entry.id == members[0].id]
    assert kept.versions == {"ofar_tf": "0.1.0"}


def test_a_call_fails_only_for_files_that_it_was_asked_for(members, network, float32):
    broken = keras.models.clone_model(network)
    broken.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    assert float32([member_of(broken, 16, name="broken")]).failures
    second = float32(members[:1])
    assert second.failures == ()
    assert [entry.checks.passed for entry in second.manifest.models] == [False, True]


def test_a_file_that_was_changed_since_leaves_the_manifest(members, float32, first):
    (float32.folder / first.manifest.models[0].path).write_bytes(b"changed")
    second = float32(members[1:])
    assert [entry.id for entry in second.manifest.models] == [members[1].id]


def test_records_of_another_version_are_done_again(members, float32, first):
    records = list(float32.folder.glob("*/.*.json"))
    works = {"saved", "conversion", "measurement", "facts", "examples"}
    assert {record.name.split(".")[-2] for record in records} == works
    for record in records:
        stored = json.loads(record.read_text())
        record.write_text(json.dumps({**stored, "value": {**stored["value"], "new": 1}}))
    again = float32(members[:1])
    assert again.failures == ()
    assert [entry.sha256 for entry in again.manifest.models] == [entry.sha256 for entry in first.manifest.models]


def test_another_process_cannot_export_to_the_folder_meanwhile(members, float32, tmp_path):
    with FamilyFolder(float32.folder), pytest.raises(ValueError, match="Received: one that does; `fuser"):
        float32(members[:1])
