import csv
import io
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from ofar_tf.evaluation.subnet_table import SubnetRow, write_subnets
from ofar_tf.run.matrix import matrix as matrix_module
from ofar_tf.run.matrix.matrix import Matrix
from ofar_tf.run.matrix.matrix_table import print_matrix
from ofar_tf.run.matrix.processes import Processes
from ofar_tf.run.matrix.runner import check_matrix, run_matrix
from ofar_tf.tasks.detection.average_precision import METRIC as AP
from ofar_tf.tasks.task import Scores
from ofar_tf.text.size import Size

MatrixOf = Callable[..., Matrix]


@pytest.fixture(autouse=True)
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the drawing, half a second after every run, to its own tests."""
    monkeypatch.setattr(matrix_module, "plot_matrix", lambda path, rows, *, title: path.write_text(title))


def run(matrix: Matrix, processes: Processes) -> tuple[list[str], list[str]]:
    """Runs a matrix; returns the lines on the screen and the names of what failed."""
    screen = io.StringIO()
    console = Console(file=screen, width=300)
    check_matrix(matrix, processes, console=console)
    failed = run_matrix(matrix, processes, console=console)
    return screen.getvalue().splitlines(), [f"{run.name} {run.seed}" for run in failed]


def means(folder: Path) -> list[list[str]]:
    with (folder / "matrix.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


def test_every_run_is_planned_once_for_its_name_then_trained_and_evaluated(
    matrix_of: MatrixOf, processes: Processes, stand_in, tmp_path: Path
) -> None:
    lines, failed = run(matrix_of(), processes)
    assert failed == []
    assert stand_in.take_calls() == [
        *("plan one 0", "plan two 0"),
        *("train one 0", "evaluate one 0", "train one 1", "evaluate one 1"),
        *("train two 0", "evaluate two 0", "train two 1", "evaluate two 1"),
    ]
    assert [line.rpartition(" in ")[0] for line in lines] == [
        "[1/4] one seed 0: finished",
        "[2/4] one seed 1: finished",
        "[3/4] two seed 0: finished",
        "[4/4] two seed 1: finished",
    ]
    # Seeds 0 and 1 measure 0.80 and 0.81 at 1000 and 1010 multiply-adds.
    assert [row[:5] for row in means(tmp_path / "out")] == [
        [name, "rate50", "24", "1005", "50"] for name in ("one", "two")
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("one", "two", "matrix.csv", "seeds.csv", "matrix.png", ".lock")
    }


def test_a_second_start_does_nothing_again(matrix_of: MatrixOf, processes: Processes, stand_in, tmp_path: Path) -> None:
    run(matrix_of(), processes)
    before = (tmp_path / "out" / "matrix.csv").read_bytes()
    stand_in.take_calls()
    assert run(matrix_of(), processes) == ([], [])
    assert stand_in.take_calls() == []
    assert (tmp_path / "out" / "matrix.csv").read_bytes() == before


def test_a_run_that_fails_is_told_and_stops_no_other_and_the_next_start_tries_it_again(
    matrix_of: MatrixOf, processes: Processes, stand_in, tmp_path: Path
) -> None:
    stand_in.come_to_harm("train one 0", "take(); sys.exit('Error: no space left')")
    stand_in.come_to_harm("evaluate two 1", "os.kill(os.getpid(), signal.SIGKILL)")
    lines, failed = run(matrix_of(), processes)
    assert failed == ["one 0", "two 1"]
    out = tmp_path / "out"
    assert lines[0].endswith(f", see {out}/one/seed_0.log: train ended with status 1: Error: no space left")
    assert lines[3].endswith("two/seed_1.log: evaluate was killed by signal 9: working on two")
    # One seed has no deviation.
    assert [(row[0], row[5:]) for row in means(out)] == [
        ("one", ["0.81", "", "1", "1"]),
        ("two", ["0.8", "", "0", "1"]),
    ]
    stand_in.take_calls()
    assert run(matrix_of(), processes)[1] == []
    # The second was trained, and is not trained again.
    assert stand_in.take_calls() == ["train one 0", "evaluate one 0", "evaluate two 1"]
    assert [row[-2:] for row in means(out)] == [["0 1", "2"], ["0 1", "2"]]


def test_a_run_whose_evaluation_leaves_no_table_is_not_finished(
    matrix_of: MatrixOf, processes: Processes, stand_in
) -> None:
    stand_in.come_to_harm("evaluate one 1", "sys.exit(0)")
    lines, failed = run(matrix_of(), processes)
    assert failed == ["one 1"] and lines[1].endswith("subnets.csv. Received: none.")


def test_an_interrupt_ends_the_command_that_runs_and_the_next_start_goes_on(
    matrix_of: MatrixOf, processes: Processes, stand_in, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.come_to_harm("train one 1", "take(); os.kill(os.getppid(), signal.SIGUSR1); time.sleep(600)")
    started, before = time.monotonic(), signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(matrix_of(), processes)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - started < 60
    assert [run.state.value for run in matrix_of().runs] == ["finished", "to continue", "to train", "to train"]
    stand_in.take_calls()
    assert run(matrix_of(), processes)[1] == []
    calls = stand_in.take_calls()
    assert calls[:3] == ["plan two 0", "train one 1", "evaluate one 1"] and len(calls) == 7


def test_runs_with_other_settings_are_refused_before_anything_runs(
    matrix_of: MatrixOf, processes: Processes, stand_in, tmp_path: Path
) -> None:
    run(matrix_of(), processes)
    stand_in.take_calls()
    text = (tmp_path / "some.toml").read_text()
    changed = matrix_of(text.replace("--noflip", "--flip").replace("[0, 1]", "[2, 1]"))
    with pytest.raises(ValueError) as caught:
        check_matrix(changed, processes)
    assert str(caught.value) == (
        f"Expected the settings that the run in {tmp_path}/out/two/seed_1 began with, or another --run_dir. "
        "Received: flip was False, now True."
    )
    assert stand_in.take_calls() == []


def test_a_run_that_could_not_begin_is_found_before_the_first_one_begins(
    matrix_of: MatrixOf, processes: Processes, stand_in, tmp_path: Path
) -> None:
    stand_in.come_to_harm("plan two 0", "sys.exit('Error: Expected data. Received: none.')")
    with pytest.raises(ValueError) as caught:
        run(matrix_of(), processes)
    assert str(caught.value) == (
        "Expected runs that can begin. Received: two, of which train ended with status 1: "
        "Error: Expected data. Received: none."
    )
    assert stand_in.take_calls() == ["plan one 0", "plan two 0"]
    assert not (tmp_path / "out" / "one").exists()


def test_a_run_that_failed_before_it_took_its_folder_may_be_mended(
    matrix_of: MatrixOf, processes: Processes, stand_in, tmp_path: Path
) -> None:
    stand_in.come_to_harm("train one 0", "sys.exit('Error: Expected a smaller batch.')")
    assert run(matrix_of(), processes)[1] == ["one 0"]
    text = (tmp_path / "some.toml").read_text()
    mended = matrix_of(text.replace('name = "one"', 'name = "one"\nseeds = [0]\noverrides = ["--batch_size=16"]'))
    (line,), failed = run(mended, processes)
    assert line.startswith("[1/1] one seed 0: finished in 0:") and failed == []


def test_the_states_of_all_runs_are_listed(matrix_of: MatrixOf, processes: Processes, stand_in, tmp_path: Path) -> None:
    stand_in.come_to_harm("train two 0", "take(); sys.exit(1)")
    stand_in.come_to_harm("evaluate two 1", "sys.exit(1)")
    run(matrix_of(), processes)
    screen = io.StringIO()
    more = (tmp_path / "some.toml").read_text() + '[[run]]\nname = "three"\n'
    matrix_of(more).print_states(console=Console(file=screen, width=300))
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in screen.getvalue().splitlines() if "│" in line]
    assert [row[:3] for row in cells] == [
        ["one", "0", "finished"],
        ["one", "1", "finished"],
        ["two", "0", "to continue"],
        ["two", "1", "to evaluate"],
        ["three", "0", "to train"],
        ["three", "1", "to train"],
    ]
    assert cells[0][3] == f"{tmp_path}/out/one/seed_0"
    assert "4 of 6 runs are left" in screen.getvalue()


def test_detectors_are_compared_by_average_precision(matrix_of: MatrixOf, tmp_path: Path) -> None:
    matrix = matrix_of(
        'overrides = ["--task=detection", "--pruning_rates=0,0.5"]\nseeds = [0, 1]\n[[run]]\nname = "one"\n'
    )
    for run, best in zip(matrix.runs, (0.4, 0.5), strict=True):
        run.run_dir.path.mkdir(parents=True)
        run.run_dir.config.touch()
        run.run_dir.supernet.touch()
        scores = Scores(AP, dict.fromkeys(AP.columns, best), 50)
        row = SubnetRow("rate50", 0.5, Size.of((96, 128)), 1000, 50, scores, pareto=True)
        write_subnets(run.run_dir.subnets, [row])
    screen = io.StringIO()
    print_matrix(matrix.collect(), console=Console(file=screen, width=120))
    assert "45.00 ± 7.07" in screen.getvalue() and "top-1" not in screen.getvalue()
    header, row = (tmp_path / "out" / "matrix.csv").read_text().splitlines()
    assert header == "name,structure,resolution,macs,params,ap,ap_std,seeds,n"
    assert row.startswith("one,rate50,96x128,1000,50,0.45,0.0707")
