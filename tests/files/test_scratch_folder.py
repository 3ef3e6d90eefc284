import tempfile

import numpy as np
import pytest

from ofar_tf.files.atomic_file import NoRoomError
from ofar_tf.files.scratch_folder import scratch_folder


def test_it_is_there_within_the_block_only_however_that_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), scratch_folder("test") as folder:
        (folder / "file").write_text("for nobody")
        assert folder.parent == tmp_path and folder.name.startswith("ofar_tf_test_")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_room_the_place_and_the_variable_that_names_it_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(np, "save", lambda *_: (_ for _ in ()).throw(OSError("9 requested and 0 written")))
    with pytest.raises(NoRoomError) as caught, scratch_folder("test") as folder:
        np.save(folder / "images.npy", [1])
    assert str(caught.value) == (
        f"Expected room for temporary files in {tmp_path}, or TMPDIR to name another place. "
        "Received: 9 requested and 0 written."
    )
