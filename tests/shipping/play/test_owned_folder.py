import pytest

from ofar_tf.files import atomic_file
from ofar_tf.shipping.play.owned_folder import RECORD, OwnedFolder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_or_empty_folder_is_written(tmp_path, exists):
    folder = tmp_path / "out"
    if exists:
        folder.mkdir()
    OwnedFolder(folder).write({"a": b"1", "b#x/c": b"2"})
    written = files(folder)
    assert written.pop(RECORD)
    assert written == {"a": b"1", "b#x/c": b"2"}


def test_a_second_writing_touches_nothing(tmp_path):
    OwnedFolder(tmp_path).write({"a": b"1"})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name != RECORD}
    content = files(tmp_path)
    OwnedFolder(tmp_path).write({"a": b"1"})
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert files(tmp_path) == content


def test_what_is_no_longer_wanted_goes_and_others_files_stay(tmp_path):
    OwnedFolder(tmp_path).write({"old/deep/a": b"1", "b": b"2", "shared/c": b"3"})
    (tmp_path / "shared" / "note").write_text("mine")
    OwnedFolder(tmp_path).write({"b": b"changed"})
    written = files(tmp_path)
    del written[RECORD]
    assert written == {"b": b"changed", "shared/note": b"mine"}
    assert not (tmp_path / "old").exists()


def test_a_folder_of_someone_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=f"Expected a new or empty folder, .* which has no {RECORD}"):
        OwnedFolder(tmp_path)
    assert files(tmp_path) == {"thesis.tex": b"mine"}


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ValueError, match="Expected a new or empty folder"):
        OwnedFolder(tmp_path / "out")


def test_a_changed_file_of_ours_is_refused_and_kept(tmp_path):
    OwnedFolder(tmp_path).write({"a": b"1", "b": b"2"})
    (tmp_path / "a").write_text("edited")
    with pytest.raises(ValueError, match=r"Expected the files in .* as they were written. Received: a, changed since"):
        OwnedFolder(tmp_path)
    assert (tmp_path / "a").read_text() == "edited"


def test_a_foreign_file_in_the_way_is_refused_before_anything_is_written(tmp_path):
    OwnedFolder(tmp_path).write({"a": b"1"})
    (tmp_path / "b").write_text("mine")
    before = files(tmp_path)
    with pytest.raises(ValueError, match=r"Expected no files of others in the way. Received: b in "):
        OwnedFolder(tmp_path).write({"a": b"2", "b": b"2"})
    assert files(tmp_path) == before


def test_a_record_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / RECORD).write_text("[]")
    with pytest.raises(ValueError, match="Expected our record in "):
        OwnedFolder(tmp_path)


def test_what_a_killed_process_left_is_finished(tmp_path, monkeypatch):
    OwnedFolder(tmp_path).write({"a": b"1", "b": b"1", "z": b"1"})
    changed, whole = {"a": b"2", "b": b"2", "c": b"2"}, atomic_file.replacing

    def killed_at_b(path):
        if path.name == "b":
            (tmp_path / ".partial_b").mkdir()
            raise KeyboardInterrupt
        return whole(path)

    monkeypatch.setattr(atomic_file, "replacing", killed_at_b)
    with pytest.raises(KeyboardInterrupt):
        OwnedFolder(tmp_path).write(changed)
    monkeypatch.undo()
    OwnedFolder(tmp_path).write(changed)
    written = files(tmp_path)
    del written[RECORD]
    assert written == changed
    assert not (tmp_path / ".partial_b").exists()


def test_a_process_killed_at_the_very_start_leaves_a_folder_that_is_still_free(tmp_path):
    (tmp_path / ".partial_x").mkdir()
    OwnedFolder(tmp_path).write({"a": b"1"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", RECORD]
