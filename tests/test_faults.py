"""What a user sees of a fault: one line, a status that is not 0, and a run that is as good as before."""

import dataclasses
import shutil

import pytest

from ofar_tf import evaluate, train
from ofar_tf.files.folder_lock import FolderLock
from ofar_tf.run.evaluate_config import EvaluateConfig
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.training.checkpoints import Checkpoints

SETTINGS = {
    "model": "resnet8",
    "width_multiplier": 0.5,
    "train_split": "train[:64]",
    "eval_split": "test[:40]",
    "augmentation": "none",
    "pruning_rates": (0.0, 0.5),
    "resolutions": (12,),
    "min_channels": 4,
    "channel_round_to": 4,
    "epochs": 3,
    "search_epochs": 1,
    "batch_size": 16,
    "calibration_images": 32,
    "validation_images": 20,
    "progress": False,
}


@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    """A run whose joint training, after one good epoch of search, has a learning rate that no network survives."""
    config = TrainConfig(
        run_dir=str(tmp_path_factory.mktemp("diverged") / "run"),
        search_learning_rate=0.01,
        learning_rate=1e25,
        **SETTINGS,
    )
    with pytest.raises(SystemExit) as caught:
        train.main(config)
    return config, caught.value


@pytest.fixture
def begun(diverged, tmp_path):
    """A copy of that run's folder, and its settings."""
    config, _ = diverged
    shutil.copytree(config.run_dir, tmp_path / "run")
    return tmp_path / "run", dataclasses.replace(config, run_dir=str(tmp_path / "run"))


def test_a_loss_that_is_no_number_ends_the_command_with_one_line_that_says_the_way_on(diverged):
    message = diverged[1].code  # The interpreter prints it, and its status is 1.
    assert message.startswith("Error: Expected finite losses and weights. Received: ")
    assert message.endswith(" in epoch 2, which is not saved. Begin a new run with a lower learning rate.")
    assert "\n" not in message


def test_the_last_good_state_is_kept_after_a_divergence(begun):
    run_dir, _ = begun
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["epoch_00001.npz"]
    assert Checkpoints(run_dir / "checkpoints").latest()[0] == 1
    assert not (run_dir / "supernet.keras").exists()


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_command_that_is_next_has_the_place_to_which_the_data_has_moved(tmp_path, capsys):
    config = TrainConfig(run_dir=str(tmp_path / "run"), data_dir="/before", **SETTINGS)
    RunDir(tmp_path / "run").claim(config)
    (tmp_path / "run" / "supernet.keras").write_bytes(b"finished")
    for now, flags in (("/now", f"--run_dir={tmp_path}/run --data_dir=/now"), ("/before", f"--run_dir={tmp_path}/run")):
        assert train.main(dataclasses.replace(config, data_dir=now)) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"Next: ofar evaluate {flags}"


def test_a_second_process_in_one_folder_ends_with_one_line_and_changes_nothing(begun, capsys):
    run_dir, config = begun
    lock = FolderLock(run_dir)
    before = files(run_dir)
    with pytest.raises(SystemExit) as caught:
        train.main(config)
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        f"Error: Expected that no other process works in {run_dir}. Received: one that does; "
        f"`fuser {run_dir / '.lock'}` names it.\n"
    )
    assert files(run_dir) == before
    lock.release()


@pytest.mark.parametrize("name", ["config.json", "checkpoints/epoch_00001.npz"])
def test_a_truncated_file_of_a_run_that_has_begun_is_one_line(begun, capsys, name):
    run_dir, config = begun
    whole = (run_dir / name).read_bytes()
    (run_dir / name).write_bytes(whole[: len(whole) // 2])
    before = files(run_dir)
    with pytest.raises(SystemExit) as caught:
        train.main(config)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: Expected ") and " Received: " in line and str(run_dir) in line
    assert files(run_dir) == before


@pytest.mark.parametrize("name", ["config.json", "pool.json", "supernet.keras"])
def test_a_truncated_file_of_a_finished_run_is_one_line(begun, capsys, name):
    run_dir, _ = begun
    (run_dir / "supernet.keras").write_bytes(b"PK")
    whole = (run_dir / name).read_bytes()
    (run_dir / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SystemExit) as caught:
        evaluate.main(EvaluateConfig(run_dir=str(run_dir)))
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: Expected ") and " Received: " in line and str(run_dir) in line
