import dataclasses
import json
import pwd
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from absl import app
from absl import flags as absl_flags

from ofar_tf import flags
from ofar_tf.run.device.device_config import DeviceConfig
from ofar_tf.run.doctor_config import DoctorConfig
from ofar_tf.run.evaluate_config import EvaluateConfig
from ofar_tf.run.export_config import ExportConfig
from ofar_tf.run.matrix.matrix_config import RunMatrixConfig
from ofar_tf.run.settings import given_settings
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.shipping.package_config import PackageConfig
from ofar_tf.shipping.predict_config import PredictConfig
from ofar_tf.shipping.select_config import SelectConfig
from ofar_tf.text.command_line import command_line

COMMANDS = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "export": ExportConfig,
    "select": SelectConfig,
    "package": PackageConfig,
    "run_matrix": RunMatrixConfig,
    "predict": PredictConfig,
    "doctor": DoctorConfig,
    "measure_device": DeviceConfig,
}
RATES = "--pruning_rates=0.1,0.5"
Parse = Callable[..., Any]


def test_flags_become_a_configuration(parse_command: Parse) -> None:
    config = parse_command(
        TrainConfig, "--run_dir=r", "--macs_budgets=504M,2.5K", "--noflip", "--resolutions=32, 24", "--epochs=20"
    )
    expected = TrainConfig(run_dir="r", macs_budgets=(504_000_000, 2_500), flip=False, resolutions=(32, 24), epochs=20)
    assert config == expected


def test_budgets_are_counts_or_milliseconds(parse_command: Parse) -> None:
    counts = parse_command(TrainConfig, "--run_dir=r", "--budgets=2.5M,900K", "--budget_unit=params")
    assert counts.budgets == (2_500_000, 900_000)
    times = parse_command(TrainConfig, "--run_dir=r", "--budgets=8,2.5", "--budget_unit=ms", "--device=d.json")
    assert times.budgets == (8.0, 2.5)


def test_no_text_is_the_none_of_an_optional_setting(parse_command: Parse) -> None:
    config = parse_command(TrainConfig, "--run_dir=r", RATES, "--validation_images=", "--macs_budgets=")
    assert config.validation_images is None
    assert config.macs_budgets == ()


def test_the_command_line_wins_over_the_flagfile_before_it(parse_command: Parse, tmp_path: Path) -> None:
    flagfile = tmp_path / "a.flagfile"
    flagfile.write_text("# A comment.\n--epochs=20\n--pruning_rates=0.1,0.2,0.3\n--momentum=0.5\n")
    config = parse_command(TrainConfig, f"--flagfile={flagfile}", "--run_dir=r", "--epochs=30", "--pruning_rates=0,0.5")
    assert (config.epochs, config.pruning_rates, config.momentum) == (30, (0.0, 0.5), 0.5)


def test_an_export_is_repeated_by_the_command_that_names_all_that_it_was_given(parse_command: Parse) -> None:
    config = ExportConfig(
        run_dir="r", export_dir="out here", precisions=("int8", "qat"), only=("a@96x128",), qat_epochs=2
    )
    given = given_settings(config)
    assert list(given) == ["run_dir", "export_dir", "precisions", "only", "qat_epochs"]
    _, _, *arguments = shlex.split(command_line("export", **given))
    assert parse_command(ExportConfig, *arguments) == config


def test_a_leading_tilde_is_the_home_directory(parse_command: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    paths = {"~": "/home/ada", "~/runs/one": "/home/ada/runs/one", "~nobody at all": "~nobody at all", "a~": "a~"}
    assert {given: parse_command(TrainConfig, f"--run_dir={given}", RATES).run_dir for given in paths} == paths
    (root,) = {entry.pw_dir for entry in pwd.getpwall() if entry.pw_name == "root"}
    assert parse_command(TrainConfig, "--run_dir=~root/x", RATES).run_dir == f"{root.rstrip('/')}/x"


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--epoch=1", "Expected a flag that --help lists. Received: --epoch. Did you mean --epochs?"),
        ("--qwxz=1", "Expected a flag that --help lists. Received: --qwxz."),
        ("resnet20", "Expected flags only, as --name=value. Received: 'resnet20'."),
        ("--epochs=ten", "Expected --epochs to be a whole number. Received: 'ten'."),
        ("--epochs=1.5", "Expected --epochs to be a whole number. Received: '1.5'."),
        ("--momentum=high", "Expected --momentum to be a number. Received: 'high'."),
        ("--learning_rate=inf", "Expected a finite --learning_rate. Received: inf."),
        ("--learning_rate=nan", "Expected --learning_rate of at least 1e-12. Received: nan."),
        ("--batch_size=0", "Expected --batch_size of at least 1. Received: 0."),
        ("--crop_scale_min=2", "Expected --crop_scale_min of at most 1.0. Received: 2.0."),
        ("--augmentation=mix", "Expected --augmentation to be one of none, pad_and_crop, random_resized_crop. "
         "Received: 'mix'."),
        ("--pruning_rates=abc", "Expected --pruning_rates to be numbers with commas between them. Received: 'abc'."),
        ("--pruning_rates=0.1,,0.2", "Expected --pruning_rates to be numbers with commas between them. "
         "Received: '0.1,,0.2'."),
        ("--resolutions=28,big", "Expected --resolutions to be sizes such as 224 or 192x256, with commas between them. "
         "Received: '28,big'."),
        ("--epochs=20  # quick", "Expected no comment behind a value: flagfiles have them on lines of their own. "
         "Received: --epochs=20  # quick"),
        ("--flagfile=/nowhere/a.flagfile", "Expected a flagfile that can be read. "
         "Received: No such file or directory: '/nowhere/a.flagfile'."),
        ("--flip=maybe", "Expected flags as --help describes them. Received: flag --flip=maybe: "
         "('Non-boolean argument to boolean flag', 'maybe')."),
        ("--epochs", "Expected flags as --help describes them. Received: Missing value for flag --epochs."),
    ],
)  # fmt: skip
def test_a_mistaken_flag_is_named(parse_command: Parse, argument: str, sentence: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        parse_command(TrainConfig, "--run_dir=r", RATES, argument)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("kind", COMMANDS.values())
def test_every_setting_has_help_and_a_flag_name_of_its_own(kind: type[Any]) -> None:
    app.define_help_flags()
    taken = set(absl_flags.FLAGS)
    for field in dataclasses.fields(kind):
        assert field.metadata["help"].endswith((".", "...", "M")), field.name
        assert field.name not in taken, field.name


# Runs a module as a command does, then tells what it printed, how it ended and whether TensorFlow was imported.
_PROBE = """
import contextlib, io, json, runpy, sys
name, how, *sys.argv[1:] = sys.argv[1:]
status = 0
printed = io.StringIO()
try:
    with contextlib.redirect_stdout(printed):
        if how == "module":
            runpy.run_module(f"ofar_tf.{name}", run_name="__main__", alter_sys=True)
        else:
            import ofar_tf.console
            sys.argv[1:1] = [name]
            ofar_tf.console.main()
except SystemExit as end:
    status = end.code
heavy = sorted({"tensorflow", "keras", "numpy"} & set(sys.modules))
print(json.dumps({"status": status, "printed": printed.getvalue(), "heavy": heavy}))
"""


@pytest.mark.parametrize("how", ["module", "ofar"])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_our_flags_without_importing_tensorflow(name: str, how: str) -> None:
    command = [sys.executable, "-W", "error", "-c", _PROBE, name, how, "--help"]
    ended = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert ended["status"] == 0
    assert ended["heavy"] == []
    listed = ended["printed"].replace("--[no]", "--")
    for field in dataclasses.fields(COMMANDS[name]):
        assert f"  --{field.name}: {field.metadata['help'].split()[0]}" in listed


@pytest.mark.parametrize("use", [lambda path: path.read_text(), lambda path: (path / "a" / "b").mkdir()])
def test_an_error_of_the_system_names_its_file_in_two_sentences(tmp_path: Path, capsys: Any, use: Any) -> None:
    with pytest.raises(SystemExit) as end, flags.one_line_errors():
        use(tmp_path)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"Error: Expected files and folders that can be used. Received: {tmp_path}")
    assert said.endswith(("(Is a directory).\n", "(No such file or directory).\n"))


@pytest.mark.parametrize(("warns", "said"), [(True, "Warning: of layer 'a'.\n"), (False, "")])
def test_what_the_library_warns_of_is_said_once_by_the_command_that_asks_for_it(warns: bool, said: str) -> None:
    code = f"""
import logging
from ofar_tf import flags
from ofar_tf.shipping.select_config import SelectConfig
def main(config):
    for _ in range(2):
        logging.getLogger("ofar_tf.pruning.costs").warning("of layer %r.", "a")
flags.run(main, SelectConfig, warns={warns})
"""
    ended = subprocess.run([sys.executable, "-c", code, "--export_dir=."], capture_output=True, text=True)
    assert (ended.stderr, ended.stdout, ended.returncode) == (said, "", 0)
