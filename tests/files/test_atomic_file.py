import errno
import hashlib
import os
import resource
from pathlib import Path

import h5py
import pytest

from ofar_tf.files import atomic_file


def test_a_file_replaces_the_old_one_whole(tmp_path):
    atomic_file.write_text(tmp_path / "new" / "card.md", "old")
    atomic_file.write_text(tmp_path / "new" / "card.md", "ü")
    assert (tmp_path / "new" / "card.md").read_bytes() == b"\xc3\xbc"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["card.md"]


def test_an_error_halfway_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "card.md").write_text("old")
    with pytest.raises(RuntimeError), atomic_file.replacing(tmp_path / "card.md") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("card.md", "old")]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_file.replacing(tmp_path / "card.md"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_content_is_on_the_disk_before_it_gets_the_name(tmp_path, monkeypatch):
    stored, store = [], os.fsync

    def note(descriptor):
        stored.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), (tmp_path / "card.md").exists()))
        store(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    atomic_file.write_text(tmp_path / "card.md", "new")
    (content, before), (folder, after) = stored
    assert content.endswith("/card.md") and ".partial_" in content and not before
    assert folder == str(tmp_path) and after


@pytest.fixture
def small_files():
    """No file may get larger than 4,096 bytes: the system's own refusal, in the place of a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def write_with_python(path):
    path.write_bytes(bytes(10_000))


def write_with_hdf5(path):
    with h5py.File(path, "w") as file:
        file["weights"] = range(10_000)


@pytest.mark.parametrize("write", [write_with_python, write_with_hdf5])
def test_a_file_without_room_is_named_and_leaves_the_old_one_and_nothing_else(tmp_path, small_files, write):
    (tmp_path / "weights.h5").write_text("old")
    with (
        pytest.raises(atomic_file.NoRoomError) as caught,
        atomic_file.replacing(tmp_path / "weights.h5") as temporary,
    ):
        write(temporary)
    assert str(caught.value) == f"Expected room for weights.h5 in {tmp_path}. Received: File too large."
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("weights.h5", "old")]


def test_a_disk_that_notices_only_when_it_stores_leaves_the_old_file(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    (tmp_path / "card.md").write_text("old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(atomic_file.NoRoomError, match=r"Received: Disk quota exceeded\.$"):
        atomic_file.write_text(tmp_path / "card.md", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("card.md", "old")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            RuntimeError(
                "{{node CreateSummaryFileWriter}} RUN/train/events.v2; No space left on device\n\tFailed to flush"
            ),
            "No space left on device",
        ),
        (OSError("100000 requested and 8176 written"), "100000 requested and 8176 written"),
    ],
    ids=["TensorFlow", "NumPy"],
)
def test_what_libraries_say_of_a_full_disk_is_understood_and_other_errors_pass(error, reason):
    with pytest.raises(atomic_file.NoRoomError) as caught, atomic_file.room_for("the run in RUN"):
        raise error
    assert str(caught.value) == f"Expected room for the run in RUN. Received: {reason}."
    with pytest.raises(RuntimeError, match="out of memory"), atomic_file.room_for("the run in RUN"):
        raise RuntimeError("out of memory")


def test_the_innermost_name_of_what_has_no_room_is_kept():
    with (
        pytest.raises(atomic_file.NoRoomError, match=r"^Expected room for pool"),
        atomic_file.room_for("the run"),
        atomic_file.room_for("pool"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    for folder in (tmp_path, tmp_path / "deep" / "folder"):
        (folder / ".partial_a1b2").mkdir(parents=True)
        (folder / ".partial_a1b2" / "half.png").write_text("half")
        (folder / "whole.png").write_text("whole")
    atomic_file.remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"deep", "folder", "whole.png"}
    assert atomic_file.is_unfinished(tmp_path / ".partial_a1b2") and not atomic_file.is_unfinished(tmp_path / "whole")


def test_the_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert atomic_file.sha256_of(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("missing", ["", "new/folder"])
def test_a_folder_where_something_can_be_written_is_left_as_it_was(tmp_path, missing, monkeypatch):
    atomic_file.require_writable(tmp_path / missing, name="a folder")
    monkeypatch.chdir(tmp_path)
    atomic_file.require_writable(Path(missing), name="a folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["file/run", "file"])
def test_a_folder_where_nothing_can_be_written_is_named(tmp_path, folder):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^Expected a --run_dir that can be written. Received: .*file\S* \(Not a dir"):
        atomic_file.require_writable(tmp_path / folder, name="a --run_dir")
