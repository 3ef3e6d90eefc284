import json

import pytest

from ofar_tf import models
from ofar_tf.run.look_ahead import look_ahead
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.text.quantities import parse_quantity

SETTINGS = {
    "model": "resnet8",
    "width_multiplier": 0.5,
    "min_channels": 4,
    "channel_round_to": 4,
    "resolutions": (28, 20),
    "pruning_rates": (0.0, 0.5),
}


def test_a_plan_needs_no_run_directory_and_leaves_nothing_behind(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    look_ahead(TrainConfig(plan=True, **SETTINGS))
    out = capsys.readouterr().out
    assert "MACs at 28 px" in out and "MACs at 20 px" in out and "rate50" in out
    assert list(tmp_path.iterdir()) == []


def test_an_explanation_lists_the_groups_and_what_stays_whole(capsys):
    look_ahead(TrainConfig(explain=True, **SETTINGS))
    out = capsys.readouterr().out
    assert "56 prunable channels in 3 groups" in out and "it is part of the residual stream" in out


def test_groups_that_were_written_and_edited_are_read_back(tmp_path, capsys):
    path = tmp_path / "groups.json"
    look_ahead(TrainConfig(write_groups=str(path), **SETTINGS))
    content = json.loads(path.read_text())
    content["groups"][0]["prune"] = False
    path.write_text(json.dumps(content))
    look_ahead(TrainConfig(explain=True, groups=str(path), **SETTINGS))
    out = capsys.readouterr().out
    assert "48 prunable channels in 2 groups" in out and "it was excluded by hand" in out


def test_a_budget_that_cannot_be_met_is_refused_before_anything_is_printed(capsys):
    with pytest.raises(ValueError, match="Expected MACs budgets of at most the supernet's"):
        look_ahead(TrainConfig(plan=True, **{**SETTINGS, "pruning_rates": (), "macs_budgets": (10**9, 10**6)}))
    assert capsys.readouterr().out == ""


def test_an_explanation_needs_no_budgets(capsys):
    look_ahead(TrainConfig(explain=True, **{**SETTINGS, "pruning_rates": ()}))
    assert "56 prunable channels in 3 groups" in capsys.readouterr().out


def test_a_plan_without_budgets_shows_the_whole_network_and_suggests_budgets_that_can_be_met(capsys):
    look_ahead(TrainConfig(plan=True, **{**SETTINGS, "pruning_rates": ()}))
    out = capsys.readouterr().out
    assert "rate0" in out
    suggestion = out.splitlines()[-1].partition("--macs_budgets=")[2]
    budgets = tuple(parse_quantity(text) for text in suggestion.split(","))
    assert len(budgets) >= 2
    look_ahead(TrainConfig(plan=True, **{**SETTINGS, "pruning_rates": (), "macs_budgets": budgets}))


def test_a_plan_of_one_budget_shows_its_neighbours(capsys):
    look_ahead(TrainConfig(plan=True, **{**SETTINGS, "pruning_rates": (0.5,)}))
    out = capsys.readouterr().out
    assert all(name in out for name in ("rate45", "rate50", "rate55"))


def test_a_plan_ranks_channels_by_pretrained_weights(tmp_path, capsys):
    look_ahead(TrainConfig(plan=True, **SETTINGS))
    assert "equally important" in capsys.readouterr().out
    source = models.build("resnet8", classes=7, width_multiplier=0.5)
    source.get_layer("stage1_block1_conv1_bn").gamma.assign([0.1] * 4 + [0.9] * 4)
    source.save_weights(tmp_path / "other.weights.h5")
    look_ahead(TrainConfig(plan=True, pretrained=str(tmp_path / "other.weights.h5"), **SETTINGS))
    out = capsys.readouterr().out
    assert "18 of 19 layers start from" in out and "begin anew: logits." in out
    assert "ranked by the weights" in out
