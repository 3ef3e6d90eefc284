import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from ofar_tf.run.config_file import read_config
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.train_config import TrainConfig


def config_of(path: Path) -> TrainConfig:
    return TrainConfig(run_dir=str(path), pruning_rates=(0.1, 0.5), epochs=90)


def test_a_claimed_folder_holds_its_settings_and_can_be_claimed_again(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "new" / "run")
    config = config_of(run_dir.path)
    run_dir.claim(config)
    assert sorted(path.name for path in run_dir.path.iterdir()) == [".lock", "config.json", "run.flagfile"]
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


def test_a_run_does_not_go_on_with_another_device(tmp_path: Path) -> None:
    run_dir, device = RunDir(tmp_path / "run"), tmp_path / "device.json"
    run_dir.path.mkdir()
    device.write_text("of a phone")
    config = dataclasses.replace(config_of(run_dir.path), device=str(device))
    run_dir.keep_inputs(config)
    run_dir.keep_inputs(config)
    device.write_text("of another phone")
    with pytest.raises(ValueError) as caught:
        run_dir.keep_inputs(config)
    assert str(caught.value) == (
        f"Expected the device of {run_dir.device}, with which the run began. Received: {device}, which differs."
    )
    assert run_dir.device.read_text() == "of a phone"


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


def test_a_run_that_is_named_without_its_settings_says_how_it_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "my run"
    RunDir(folder).claim(TrainConfig(run_dir=str(folder), pruning_rates=(0.0, 0.5)))
    for run_dir, way in ((folder, f"--flagfile='{folder}/run.flagfile' --run_dir='{folder}'."), (tmp_path, "none.")):
        with pytest.raises(ValueError, match=r"^Expected one of --pruning_rates, .*\. Received: none") as caught:
            TrainConfig(run_dir=str(run_dir))
        assert str(caught.value).endswith(way)


def test_two_cannot_train_in_one_folder(tmp_path: Path) -> None:
    first, config = RunDir(tmp_path), config_of(tmp_path)
    first.claim(config)
    first.claim(config)
    with pytest.raises(ValueError, match=r"Expected that no other process works in .*\. Received: one that does"):
        RunDir(tmp_path).claim(config)
    del first
    RunDir(tmp_path).claim(config)


def test_a_finished_run_can_be_looked_at_by_all(tmp_path: Path) -> None:
    runs, config = [RunDir(tmp_path), RunDir(tmp_path)], config_of(tmp_path)
    runs[0].claim(config)
    runs[0].supernet.write_bytes(b"trained")
    runs[1].claim(config)


def test_a_refused_folder_is_not_held(tmp_path: Path) -> None:
    RunDir(tmp_path).claim(config_of(tmp_path))
    refused = RunDir(tmp_path)
    with pytest.raises(ValueError, match="seed was 0, now 1"):
        refused.claim(dataclasses.replace(config_of(tmp_path), seed=1))
    RunDir(tmp_path).claim(config_of(tmp_path))


@pytest.fixture
def finished(tmp_path: Path) -> RunDir:
    """A folder with the files that training ends with."""
    run_dir = RunDir(tmp_path)
    run_dir.claim(config_of(tmp_path))
    run_dir.pool.write_text('{"schema_version": 1, "structures": []}\n')
    run_dir.supernet.write_bytes(bytes(range(256)))
    run_dir.seal(run_dir.supernet)
    return run_dir


def test_the_seal_of_an_untouched_run_holds_and_is_what_sha256sum_reads(finished: RunDir) -> None:
    finished.check_seal()
    assert [line.split("  ")[1] for line in finished.checksums.read_text().splitlines()] == [
        "config.json",
        "pool.json",
        "supernet.keras",
    ]
    # The digest of the 256 bytes 0, 1, ..., 255, as sha256sum prints it.
    digest = "40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880"
    assert f"{digest}  supernet.keras" in finished.checksums.read_text()


def flip(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]


@pytest.mark.parametrize("name", ["config.json", "pool.json", "supernet.keras"])
@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-1], lambda content: content + b" ", lambda content: b"", lambda content: None, flip],
    ids=["cut", "longer", "empty", "gone", "flipped"],
)
def test_a_damaged_file_of_a_finished_run_is_named(finished: RunDir, name: str, damage: Callable[..., bytes]) -> None:
    path = finished.path / name
    content = path.read_bytes()
    for position in range(0, len(content), 7) if damage is flip else [0]:
        damaged = flip(content, position) if damage is flip else damage(content)
        path.unlink() if damaged is None else path.write_bytes(damaged)
        with pytest.raises(ValueError) as caught:
            finished.check_seal()
        received = "no such file" if damaged is None else "other content"
        assert str(caught.value) == (
            f"Expected {path} as training left it, see SHA256SUMS. Received: {received}. Restore it, or remove "
            f"{finished.supernet} and repeat the training command: it ends with the last checkpoint."
        )


def test_a_damaged_seal_never_holds(finished: RunDir) -> None:
    content = finished.checksums.read_bytes()
    for position in range(len(content)):
        # A space that became another character, too, makes another line.
        finished.checksums.write_bytes(flip(content, position))
        with pytest.raises(ValueError, match="as training left it"):
            finished.check_seal()
    finished.checksums.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="as training left it"):
        finished.check_seal()


def test_own_weights_are_sealed_where_there_are_any(finished: RunDir) -> None:
    finished.own_weights.write_bytes(b"own")
    finished.seal(finished.supernet)
    finished.check_seal()
    finished.own_weights.unlink()
    with pytest.raises(ValueError, match="own_weights"):
        finished.check_seal()


def test_without_a_seal_nothing_is_compared(finished: RunDir) -> None:
    finished.checksums.unlink()
    finished.pool.write_text("edited by hand")
    finished.check_seal()
