import dataclasses
import json

import pytest

from ofar_tf.family import family_folder
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.manifest import Manifest, read_manifest, write_manifest
from ofar_tf.family.phone_latency import PhoneLatency
from ofar_tf.files.atomic_file import sha256_of
from ofar_tf.files.folder_lock import FolderLock
from ofar_tf.tflite.latency import Latency

PHONE = Latency("phone", 4, 7.5)


@pytest.fixture
def folder(tmp_path):
    with FamilyFolder(tmp_path / "export") as folder:
        yield folder


@pytest.fixture
def export(folder, make_entry, header):
    """Writes a manifest of two files, each of the content that is given for it, as an export would."""

    def write(large=b"large", small=b"small", **changes):
        entries = []
        for macs, name, content in ((300, "large", large), (100, "small", small)):
            path = folder.tflite_path(name, "float32")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            latency = folder.known_latencies().get(sha256_of(path), ())
            entries.append(make_entry(name, macs=macs, top1=0.9, sha256=sha256_of(path), latency=latency))
        made = dataclasses.replace(Manifest(**vars(header), models=tuple(entries)), **changes)
        write_manifest(folder.manifest, made)
        folder.end()
        return made

    return write


def row(name="large_float32.tflite", *, line=2, latency=PHONE):
    return PhoneLatency(f"line {line}", {"file": name}, latency)


def test_the_folder_is_held_until_it_is_released(tmp_path):
    with FamilyFolder(tmp_path), pytest.raises(ValueError, match="Received: one that does"):
        FolderLock(tmp_path)
    FolderLock(tmp_path)


def test_what_was_left_half_written_is_removed_and_the_users_files_stay(tmp_path):
    (tmp_path / "net" / ".partial_x").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("mine")
    FamilyFolder(tmp_path).release()
    assert {path.name for path in tmp_path.rglob("*")} == {".lock", "net", "notes.txt"}


def test_what_another_process_finished_before_the_folder_was_taken_is_refused_too(tmp_path, header, monkeypatch):
    def lock_after_another_export(path):
        with monkeypatch.context() as unchanged:
            unchanged.setattr(family_folder, "FolderLock", FolderLock)
            with FamilyFolder(path, training="a") as other:
                other.begin(header)
                other.keras_path("net").parent.mkdir()
                other.keras_path("net").write_bytes(b"of a")
        return FolderLock(path)

    monkeypatch.setattr(family_folder, "FolderLock", lock_after_another_export)
    with pytest.raises(ValueError, match="files of another training"):
        FamilyFolder(tmp_path, training="b")
    FolderLock(tmp_path)


def test_files_lie_where_the_design_says(folder, tmp_path):
    assert folder.keras_path("net") == tmp_path / "export" / "net" / "net.keras"
    assert folder.tflite_path("net", "int8") == tmp_path / "export" / "net" / "net_int8.tflite"


def test_what_an_earlier_export_left_is_known_even_after_a_kill(folder, export, header):
    made = export()
    for _ in range(2):  # The second time, the manifest has been set aside already.
        assert [entry.id for entry in folder.begin(header)] == [entry.id for entry in made.models]
        assert not folder.manifest.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema_version": 2}', '{"schema_version": 1, "models": [{"id": 1}]}', "[" * 10**5]
)
def test_a_manifest_that_cannot_be_read_leaves_nothing(folder, header, text):
    folder.manifest.write_text(text)
    assert folder.begin(header) == []


def test_a_measurement_belongs_to_the_content_of_a_file(folder, export):
    made = export()
    folder.import_latencies([row()])
    assert folder.known_latencies() == {made.models[0].sha256: (PHONE,)}


def test_what_a_phone_measured_of_files_that_are_not_exported_again_is_theirs_too(folder, export, header):
    export()
    folder.import_latencies([row("small_float32.tflite")])
    assert [(entry.id, entry.latency) for entry in folder.begin(header)] == [("large", ()), ("small", (PHONE,))]


def test_a_new_measurement_replaces_the_one_of_the_same_device_and_threads(folder, export):
    made = export()
    folder.import_latencies([row(), row(line=3, latency=Latency("laptop", 1, 2.0))])
    folder.import_latencies([row(latency=Latency("phone", 4, 5.0))])
    known = folder.known_latencies()[made.models[0].sha256]
    assert set(known) == {Latency("phone", 4, 5.0), Latency("laptop", 1, 2.0)}


def test_measurements_survive_exports_of_whatever_else(folder, export, header):
    export()
    folder.import_latencies([row()])
    # Of another training; of other bytes; with the file gone for a while; with a manifest that nobody can read.
    for write in (
        lambda: export(dataset={"name": "other"}),
        lambda: export(large=b"other bytes"),
        lambda: folder.tflite_path("large", "float32").unlink(),
        lambda: folder.manifest.write_text("{"),
        lambda: folder.manifest.unlink(missing_ok=True),
    ):
        folder.begin(header)
        write()
    folder.begin(header)
    assert export().models[0].latency == (PHONE,)


def test_measurements_in_a_manifest_of_another_version_are_taken_over(folder, export, header):
    made = export()
    entries = [dataclasses.replace(entry, latency=(PHONE,)) for entry in made.models]
    write_manifest(folder.manifest, dataclasses.replace(made, models=tuple(entries)))
    data = json.loads(folder.manifest.read_text())
    data["new"] = data["models"][0]["new"] = 1
    data["models"][1]["latency"].insert(0, {"device": "tablet", "threads": 1, "median_ms": 1.0, "joules": 2.0})
    data["models"].append("nonsense")
    folder.manifest.write_text(json.dumps(data))
    assert folder.begin(header) == []
    assert folder.known_latencies() == {entry.sha256: (PHONE,) for entry in made.models}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": [1, {"device": 1}]}', "[" * 10**5])
def test_a_damaged_record_of_measurements_costs_no_more_than_itself(folder, export, text):
    made = export()
    write_manifest(
        folder.manifest,
        dataclasses.replace(made, models=(dataclasses.replace(made.models[0], latency=(PHONE,)), made.models[1])),
    )
    (folder.path / ".latencies.json").write_text(text)
    assert folder.known_latencies() == {made.models[0].sha256: (PHONE,)}


def test_a_measurement_of_a_file_that_was_written_anew_is_named(folder, export):
    export()
    folder.import_latencies([row(), row("small_float32.tflite", line=3)])
    now = export(large=b"other bytes")
    assert list(folder.strangers(now)) == ["line 2"]
    assert [entry.latency for entry in now.models] == [(), (PHONE,)]


def test_measurements_that_fit_nothing_change_nothing(folder, export):
    export()
    with pytest.raises(ValueError, match="which fits 0 of them"):
        folder.import_latencies([row(), row("elsewhere.tflite", line=3)])
    assert folder.known_latencies() == {}
    assert read_manifest(folder.manifest).models[0].latency == ()


def test_measurements_of_an_unfinished_export_are_refused(folder):
    with pytest.raises(FileNotFoundError, match="Expected the manifest of a finished export"):
        folder.import_latencies([row()])


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["README.md", "labels.txt", "pareto.png", "manifest.json", "benchmark_on_phone.sh"])
def test_a_folder_of_the_users_with_files_in_the_places_of_ours_is_refused_and_stays_as_it_was(tmp_path, name):
    (tmp_path / name).write_text('{"name": "my web page"}')
    before = files(tmp_path)
    with pytest.raises(ValueError, match=rf"^Expected no files of others .*\. Received: {name} in {tmp_path}\.$"):
        FamilyFolder(tmp_path)
    assert files(tmp_path) == before


def test_a_document_that_the_user_changed_is_refused_until_it_is_moved(folder, export, header, tmp_path):
    folder.begin(header)
    folder.model_card.write_text("as we wrote it")
    export()
    folder.release()
    FamilyFolder(folder.path).release()
    folder.model_card.write_text("as the user likes it better")
    before = files(folder.path)
    with pytest.raises(ValueError, match=r"^Expected documents as .*\. Received: README\.md in .*, changed since\.$"):
        FamilyFolder(folder.path)
    assert files(folder.path) == before
    folder.model_card.rename(tmp_path / "mine.md")
    FamilyFolder(folder.path).release()


def test_documents_of_an_export_that_was_killed_while_it_wrote_them_are_its_own(folder, export, header):
    export()
    folder.begin(header)
    folder.model_card.write_text("half of all documents are new")
    folder.release()
    FamilyFolder(folder.path).release()


def test_documents_of_an_older_version_are_an_exports_own(tmp_path, export, folder):
    export()
    for left in (".latencies.json", ".documents.json"):
        (folder.path / left).unlink(missing_ok=True)
    folder.model_card.write_text("of an older version")
    folder.release()
    FamilyFolder(folder.path).release()


def test_files_of_another_training_are_refused_until_they_are_moved_or_may_be_replaced(tmp_path, header):
    path = tmp_path / "export"
    with FamilyFolder(path, training="a") as folder:
        folder.begin(header)
        # An export that was killed has no manifest.
        folder.keras_path("net").parent.mkdir()
        folder.keras_path("net").write_bytes(b"of a")
    FamilyFolder(path, training="a").release()
    before = files(path)
    with pytest.raises(
        ValueError, match=r"^Expected an export folder of this training or .* files of another training"
    ):
        FamilyFolder(path, training="b")
    assert files(path) == before
    folder.keras_path("net").rename(tmp_path / "net.keras")
    with FamilyFolder(path, training="b") as folder:
        folder.begin(header)
        folder.keras_path("net").write_bytes(b"of b")
    with pytest.raises(ValueError, match="another training"):
        FamilyFolder(path, training="a")
    FamilyFolder(path, training="a", overwrite=True).release()
