from types import SimpleNamespace

import pytest

from ofar_tf.run.phase_lines import PhaseLines

FIRST = "The first step builds graphs and takes longer."


def test_each_phase_begins_with_a_line_and_its_first_steps_say_how_long_the_run_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seconds = iter([100.0, 101.0, 103.0, 105.0, 300.0, 301.0, 302.0, 303.0, 400.0, 402.0, 404.0, 406.0])
    model = SimpleNamespace(
        phase="search",
        budgets=(1, 2, 3),
        step=SimpleNamespace(search_execution="masked", finetune_structures=2, head_epochs=0),
        optimizer=SimpleNamespace(iterations=0),
    )
    lines = PhaseLines(search_epochs=2, steps_per_epoch=10, clock=lambda: next(seconds))
    lines.set_model(model)
    lines.set_params({"epochs": 6})
    for epoch, phase in enumerate(("search", "joint", "joint", "finetune")):
        model.phase = phase
        lines.on_epoch_begin(epoch)
        for batch in range(4):
            model.optimizer.iterations += 1
            lines.on_train_batch_end(batch)
    assert [line for line in capsys.readouterr().out.splitlines() if line] == [
        f"Search of 3 structures: epochs 1 to at most 2 of 6, 10 steps each. {FIRST}",
        # Three steps took 5 s; 56 of 60 are left.
        "About 2 min left at 1.7 s a step, measurements not counted.",
        f"Joint training of 3 structures: epochs 2 to 4 of 6, 10 steps each. {FIRST}",
        # Now a step takes 1 s, and 52 are left.
        "About 52 s left at 1 s a step, measurements not counted.",
        f"Each of 3 structures alone, on the labels: epochs 4 to 6 of 6, 10 steps each. {FIRST} From here on "
        "structures share nothing that is trained; the supernet stays as it is.",
        "About 88 s left at 2 s a step, measurements not counted.",
    ]


def test_steps_that_are_passed_over_are_not_timed(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter(float(second) for second in range(100))
    model = SimpleNamespace(
        phase="joint",
        budgets=(1, 2),
        step=SimpleNamespace(finetune_structures=0, head_epochs=0),
        optimizer=SimpleNamespace(iterations=7),
    )
    lines = PhaseLines(search_epochs=0, steps_per_epoch=10, clock=lambda: next(seconds))
    lines.set_model(model)
    lines.set_params({"epochs": 2})
    lines.on_epoch_begin(0)
    for batch in range(10):
        model.optimizer.iterations += batch >= 6
        lines.on_train_batch_end(batch)
    assert "About 10 s left at 1 s a step" in capsys.readouterr().out


def test_where_no_bar_is_shown_a_line_a_minute_says_how_far_the_run_has_come(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seconds = iter(25.0 * second for second in range(100))
    model = SimpleNamespace(
        phase="joint",
        budgets=(1, 2),
        step=SimpleNamespace(finetune_structures=0, head_epochs=0),
        optimizer=SimpleNamespace(iterations=0),
    )
    lines = PhaseLines(search_epochs=0, steps_per_epoch=8, line_every=60.0, clock=lambda: next(seconds))
    lines.set_model(model)
    lines.set_params({"epochs": 2})
    lines.on_epoch_begin(0)
    for batch in range(11):
        model.optimizer.iterations += 1
        lines.on_train_batch_end(batch)
    said = [line for line in capsys.readouterr().out.splitlines() if "left" in line]
    # 25 s a step: the fourth step is the first that tells, then each third.
    assert said == [
        "About 5 min left at 25 s a step, measurements not counted.",
        "Epoch 1, 7 of 8 steps: about 4 min left.",
        "Epoch 2, 2 of 8 steps: about 2 min left.",
    ]
