import errno
import os
import subprocess
import sys

import filelock
import pytest

from ofar_tf.files.folder_lock import FolderLock


def test_a_folder_is_held_by_one_until_it_is_released(tmp_path):
    lock = FolderLock(tmp_path / "new")
    with pytest.raises(ValueError) as caught:
        FolderLock(tmp_path / "new")
    assert str(caught.value) == (
        f"Expected that no other process works in {tmp_path / 'new'}. Received: one that does; "
        f"`fuser {tmp_path / 'new' / '.lock'}` names it."
    )
    lock.release()
    again = FolderLock(tmp_path / "new")
    del again
    FolderLock(tmp_path / "new")


def test_a_killed_process_leaves_no_lock_behind(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path; from ofar_tf.files.folder_lock import FolderLock; "
        "lock = FolderLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="Received: one that does"):
            FolderLock(tmp_path)
        process.kill()
    assert (tmp_path / ".lock").exists()
    FolderLock(tmp_path)


def test_a_process_that_inherits_the_file_holds_the_folder_as_long_as_it_lives(tmp_path):
    lock = FolderLock(tmp_path)
    heir = subprocess.Popen(["cat"], stdin=subprocess.PIPE, **lock.for_heirs())
    lock.release()
    with heir, pytest.raises(ValueError, match="Received: one that does"):
        FolderLock(tmp_path)
    FolderLock(tmp_path)


def test_a_process_that_is_not_given_the_file_does_not_hold_the_folder(tmp_path):
    lock = FolderLock(tmp_path)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE):
        lock.release()
        FolderLock(tmp_path)


def test_where_a_file_system_has_no_locks_nobody_is_kept_out(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(filelock, "lock_descriptor", refuse)
    locks = [FolderLock(tmp_path), FolderLock(tmp_path)]
    assert [lock.release.alive for lock in locks] == [True, True]


def test_the_room_of_files_imports_nothing_that_one_system_only_has(checkout):
    names = {"fcntl", "msvcrt", "pwd", "grp", "resource", "termios"}
    modules = [path.read_text() for path in (checkout / "ofar_tf" / "files").glob("*.py")]
    assert [name for text in modules for name in names if f"import {name}" in text] == []


def test_windows_is_given_no_descriptors_to_inherit(tmp_path, monkeypatch):
    lock = FolderLock(tmp_path)
    monkeypatch.setattr(sys, "platform", "win32")
    assert lock.for_heirs() == {}
