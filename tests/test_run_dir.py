import dataclasses
from pathlib import Path

import pytest

from ofar_tf.config import TrainConfig, read_config
from ofar_tf.run_dir import RunDir


def config_of(path: Path) -> TrainConfig:
    return TrainConfig(run_dir=str(path), pruning_rates=(0.1, 0.5))


def test_a_claimed_folder_holds_its_settings_and_can_be_claimed_again(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "new" / "run")
    config = config_of(run_dir.path)
    run_dir.claim(config)
    assert sorted(path.name for path in run_dir.path.iterdir()) == ["config.json", "run.flagfile"]
    run_dir.supernet.write_bytes(b"trained")
    run_dir.claim(dataclasses.replace(config, progress=False))
    assert read_config(run_dir.config) == config


def test_a_folder_of_another_run_is_refused_with_every_difference(tmp_path: Path) -> None:
    RunDir(tmp_path).claim(config_of(tmp_path))
    with pytest.raises(ValueError) as caught:
        RunDir(tmp_path).claim(dataclasses.replace(config_of(tmp_path), epochs=3, search_epochs=2, seed=1))
    assert str(caught.value) == (
        f"Expected the settings that the run in {tmp_path} began with, or another --run_dir. "
        "Received: search_epochs was 10, now 2; epochs was 90, now 3; seed was 0, now 1."
    )


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with pytest.raises(ValueError) as caught:
        RunDir(tmp_path).claim(config_of(tmp_path))
    assert str(caught.value) == (
        f"Expected a run, an empty folder or no folder yet. Received: --run_dir={tmp_path}, which holds something else."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_killed_while_it_took_its_folder_can_take_it_again(tmp_path: Path) -> None:
    (tmp_path / "run.flagfile").write_text("# Half")
    (tmp_path / ".partial_x").mkdir()
    RunDir(tmp_path).claim(config_of(tmp_path))
    assert "--epochs=90" in RunDir(tmp_path).flagfile.read_text()
    assert read_config(RunDir(tmp_path).config) == config_of(tmp_path)


@pytest.mark.parametrize("parent", ["a regular file", "/proc"])
def test_a_folder_that_cannot_be_written_is_named(parent: str, tmp_path: Path) -> None:
    if parent == "a regular file":
        (tmp_path / "file").write_text("")
        path, reason = tmp_path / "file" / "run", "Not a directory"
    else:
        path, reason = Path("/proc/run"), "No such file or directory"
    with pytest.raises(OSError) as caught:
        RunDir(path).claim(config_of(path))
    assert str(caught.value) == f"Expected a --run_dir that can be written. Received: {path} ({reason})."
