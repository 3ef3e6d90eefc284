import hashlib

import pytest

from ofar_tf import atomic_file


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


def test_the_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert atomic_file.sha256_of(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
