import os

import pytest

from ofar_tf.devices import memory
from ofar_tf.devices.memory import usable_memory


@pytest.mark.parametrize(
    ("limits", "usable"),
    [
        ((), 4_096_000),
        (("max\n",), 4_096_000),
        (("1000000\n",), 1_000_000),
        (("max", "9223372036854771712"), 4_096_000),
    ],
)
def test_the_memory_that_may_be_used_is_the_machines_or_the_containers(monkeypatch, tmp_path, limits, usable) -> None:
    known = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(os, "sysconf", known.__getitem__)
    files = [tmp_path / "memory.max", tmp_path / "limit_in_bytes"]
    for file, text in zip(files, limits, strict=False):
        file.write_text(text)
    monkeypatch.setattr(memory, "_LIMITS", files)
    assert usable_memory() == usable


def test_a_system_that_does_not_tell_its_memory_has_none_that_is_known(monkeypatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert usable_memory() is None
