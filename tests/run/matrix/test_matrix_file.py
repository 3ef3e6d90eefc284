from collections.abc import Callable
from pathlib import Path

import pytest

from ofar_tf import flags
from ofar_tf.run.matrix.matrix import Matrix
from ofar_tf.run.matrix.matrix_file import read_matrix
from ofar_tf.run.train_config import TrainConfig

EXAMPLES = sorted((Path(__file__).parents[3] / "experiments").glob("*.toml"))
RATES = 'overrides = ["--pruning_rates=0,0.5"]\n'


def test_a_run_is_made_of_what_all_share_what_is_its_own_and_a_seed(
    matrix_of: Callable[..., Matrix], tmp_path: Path
) -> None:
    (tmp_path / "a.flagfile").write_text("--epochs=20\n--pruning_rates=0,0.5\n--seed=9\n")
    (tmp_path / "b.flagfile").write_text("--epochs=30\n--pruning_rates=0,0.7\n")
    matrix = matrix_of(
        'flagfile = "a.flagfile"\nseeds = [3, 1]\noverrides = ["--batch_size=64", "--momentum=0.5"]\n'
        '[[run]]\nname = "plain"\n'
        '[[run]]\nname = "rate_0.7"\nflagfile = "b.flagfile"\nseeds = [2]\n'
        'overrides = ["--momentum=0.8", "--data_dir=\'a $b\'"]\n'
    )
    assert [(run.name, run.seed) for run in matrix.runs] == [("plain", 3), ("plain", 1), ("rate_0.7", 2)]
    first, _, last = matrix.runs
    assert first.arguments == (
        f"--flagfile={tmp_path}/a.flagfile",
        "--batch_size=64",
        "--momentum=0.5",
        "--seed=3",
        f"--run_dir={tmp_path}/out/plain/seed_3",
    )
    assert first.config == TrainConfig(
        run_dir=f"{tmp_path}/out/plain/seed_3",
        epochs=20,
        pruning_rates=(0.0, 0.5),
        batch_size=64,
        momentum=0.5,
        seed=3,
    )
    found = last.config
    assert (found.epochs, found.batch_size, found.momentum, found.seed) == (30, 64, 0.8, 2)
    assert found.data_dir == "a $b"  # As a shell takes it, and a flagfile.


def test_without_seeds_there_is_seed_0(matrix_of: Callable[..., Matrix]) -> None:
    assert [run.seed for run in matrix_of(RATES + '[[run]]\nname = "a"').runs] == [0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("run = ", "Expected TOML in FILE. Received: Invalid value (at end of document)."),
        ("seeds = [1]", "Expected [[run]] tables in FILE, one at least. Received: run = []."),
        ('run = "one"', "Expected [[run]] tables in FILE, one at least. Received: run = 'one'."),
        ('seed = [1]\n[[run]]\nname = "a"', "Expected only flagfile, seeds, overrides above the runs of FILE. "
         "Received: 'seed'."),
        ('[[run]]\nname = "a"\nepochs = 3', "Expected only name, flagfile, seeds, overrides in a [[run]] of "
         "FILE. Received: 'epochs'."),
        (RATES + '[[run]]\nname = "a"\n[[run]]\nname = "a"', "Expected a name of its own for every run of FILE. "
         "Received: 'a' twice."),
        (RATES + "[[run]]\nseeds = [1]", "RUN 1: Expected a name of letters, digits, _ and -. Received: ''."),
        (RATES + '[[run]]\nname = "../a"', "RUN '../a': Expected a name of letters, digits, _ and -. "
         "Received: '../a'."),
        (RATES + '[[run]]\nname = "matrix.csv"', "RUN 'matrix.csv': Expected a name of letters, digits, _ and -. "
         "Received: 'matrix.csv'."),
        (RATES + '[[run]]\nname = "a"\nseeds = []', "RUN 'a': Expected seeds to be a list of whole numbers. "
         "Received: []."),
        (RATES + '[[run]]\nname = "a"\nseeds = [true]', "RUN 'a': Expected seeds to be a list of whole numbers. "
         "Received: [True]."),
        (RATES + '[[run]]\nname = "a"\nseeds = 3', "RUN 'a': Expected seeds to be a list. Received: 3."),
        (RATES + '[[run]]\nname = "a"\nseeds = [1, 1]', "RUN 'a': Expected different seeds. Received: [1, 1]."),
        (RATES + '[[run]]\nname = "a"\nseeds = [-1]', "RUN 'a': Expected --seed of at least 0. Received: -1."),
        ('overrides = "--flip"\n[[run]]\nname = "a"', "RUN 'a': Expected overrides to be a list. "
         "Received: '--flip'."),
        ('[[run]]\nname = "a"\noverrides = ["epochs=3"]', "RUN 'a': Expected overrides as --name=value. "
         "Received: 'epochs=3'."),
        ("[[run]]\nname = 'a'\noverrides = ['--data_dir=$HOME/x']", "RUN 'a': Expected one flag in a line of a "
         "flagfile or an override, which no shell reads: '$HOME' is part of a value in single quotes only. "
         "Received: --data_dir=$HOME/x"),
        ('[[run]]\nname = "a"\noverrides = ["--seed=3"]', "RUN 'a': Expected no --seed and no --run_dir, which the "
         "matrix sets. Received: '--seed=3'."),
        ('[[run]]\nname = "a"\noverrides = ["--epoch=3"]', "RUN 'a': Expected a flag that --help lists. "
         "Received: --epoch. Did you mean --epochs?"),
        ('[[run]]\nname = "a"\noverrides = ["--epochs=ten"]', "RUN 'a': Expected --epochs to be a whole number. "
         "Received: 'ten'."),
        ('[[run]]\nname = "a"', "RUN 'a': Expected one of --pruning_rates, --macs_budgets and --budgets. "
         "Received: none."),
        ('[[run]]\nname = "a"\noverrides = ["--explain"]', "RUN 'a': Expected flags that train. "
         "Received: --plan, --explain or --write_groups."),
        ('[[run]]\nname = "a"\nflagfile = 3', "RUN 'a': Expected flagfile to be a path. Received: 3."),
        ('[[run]]\nname = "a"\nflagfile = "b"', "RUN 'a': Expected a flagfile that can be read. "
         "Received: no FOLDER/b."),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_one_line(
    matrix_of: Callable[..., Matrix], tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(ValueError) as caught:
        matrix_of(text)
    if sentence.startswith("RUN "):
        run, _, rest = sentence.removeprefix("RUN ").partition(": ")
        sentence = f"Expected a run of ofar train in run {run} of FILE. Received: {rest}"
    assert str(caught.value) == sentence.replace("FILE", f"{tmp_path}/some.toml").replace("FOLDER", str(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_is_read_as_any_editor_saves_it(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "some.toml"
    path.write_text(RATES + '[[run]]\nname = "a"\n', encoding=encoding)
    (run,) = read_matrix(path, folder=tmp_path, parse=lambda line: flags.read(TrainConfig, line))
    assert run.name == "a"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read_matrix(tmp_path / "no.toml", folder=tmp_path, parse=lambda line: flags.read(TrainConfig, line))
    assert str(caught.value) == f"Expected a file of runs. Received: {tmp_path}/no.toml, which is none."


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_sound_and_opens_with_its_claim_command_and_cost(path: Path, tmp_path: Path) -> None:
    runs = read_matrix(path, folder=tmp_path, parse=lambda line: flags.read(TrainConfig, line))
    assert {run.seed for run in runs} == {0, 1, 2} and len(runs) >= 9
    header = path.read_text().split("\n\n", 1)[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert header.index("# Claim: ") < header.index("# Command: ") < header.index("# Cost: ")
    assert f"ofar run_matrix experiments/{path.name}\n" in header


def test_there_are_examples() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "bccd_class_target",
        "evidence_cifar10",
        "finetune_importance",
        "methods",
        "table5",
    ]


def test_runs_of_several_tasks_have_no_table_in_common(matrix_of: Callable[..., Matrix]) -> None:
    with pytest.raises(ValueError, match=r"runs of one task .* Received: classification and detection\."):
        matrix_of(RATES + '[[run]]\nname = "one"\n[[run]]\nname = "two"\noverrides = ["--task=detection"]\n')
