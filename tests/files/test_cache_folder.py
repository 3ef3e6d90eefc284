import numpy as np
import pytest

from ofar_tf.files.cache_folder import cache_folder, remembered

KEY = "ab" * 32


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def total(made, *, value=1):
    def make():
        made.append(value)
        return {"values": np.full(3, value)}

    return remembered(KEY, make, read=lambda arrays: int(arrays["values"].sum()))


def test_what_was_made_once_is_read_the_next_time():
    made = []
    assert [total(made), total(made, value=2)] == [3, 3]
    assert made == [1]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", None])
def test_a_damaged_or_foreign_file_is_made_anew(content):
    path = cache_folder() / f"{KEY[:32]}.npz"
    path.parent.mkdir()
    if content is None:
        np.savez(path, other=np.zeros(2))
    else:
        path.write_bytes(content)
    made = []
    assert [total(made), total(made)] == [3, 3]
    assert made == [1]


def test_without_a_place_for_it_nothing_is_remembered(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    made = []
    assert [total(made), total(made)] == [3, 3]
    assert made == [1, 1]


def test_a_user_without_a_home_gets_no_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # As it does for a number that no name belongs to.
    monkeypatch.chdir(tmp_path)
    made = []
    assert [total(made), total(made)] == [3, 3]
    assert made == [1, 1] and not list(tmp_path.iterdir())
