import dataclasses

import pytest

from ofar_tf.run.export_config import ExportConfig
from ofar_tf.run.help_text import help_text, settings_in_groups
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.shipping.select_config import SelectConfig


@pytest.mark.parametrize("kind", [TrainConfig, ExportConfig, SelectConfig])
def test_every_setting_is_in_one_group(kind):
    grouped = [field.name for _, fields in settings_in_groups(kind) for field in fields]
    assert sorted(grouped) == sorted(field.name for field in dataclasses.fields(kind))


def test_the_ten_that_matter_come_first_and_the_others_by_topic():
    (title, first), *topics = settings_in_groups(TrainConfig)
    assert title == "The most important ones"
    assert [field.name for field in first] == list(TrainConfig.FIRST) and len(first) == 10
    assert len(topics) > 5 and all(title.strip() and "\n" not in title for title, _ in topics)


def test_a_flag_has_its_help_its_choices_and_its_default():
    text = help_text(SelectConfig, "Prints a path.\n\npython -m x\n")
    assert text.startswith("Prints a path.\n\npython -m x\n\nFlags:\n  --export_dir: Folder of an export")
    assert "(one of size, accuracy; default: size)" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 110
