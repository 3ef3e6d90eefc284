import dataclasses

import pytest

from ofar_tf.family.manifest import Manifest
from ofar_tf.family.model_card import write_model_card
from ofar_tf.tflite.latency import Latency


@pytest.fixture
def card(make_entry, header, tmp_path):
    models = (
        make_entry("large", macs=107_000_000, top1=0.9123, pareto=True, resolution=160),
        make_entry("large", macs=107_000_000, top1=0.8, quantization="int8", reasons=("Its accuracy | is low.",)),
        make_entry("small", macs=20_000_000, top1=0.8, pareto=True),
        make_entry("tiny", macs=1_000, top1=0.8, metrics=None, reasons=("LiteRT cannot run it: no.",)),
    )
    write_model_card(tmp_path / "README.md", Manifest(**vars(header), models=models))
    return (tmp_path / "README.md").read_text()


def test_the_card_says_how_the_files_were_made(card):
    for line in (
        "- Data: name: fashion_mnist_mini, eval_split: test",
        "- Seed: 7",
        "- Made with: ofar_tf 0.1.0",
        "- Commit: abc123",
        "- Written: 2026-01-02T03:04:05+00:00",
    ):
        assert f"{line}\n" in card


def test_the_card_lists_the_front_of_each_precision_by_rising_cost(card):
    assert (
        "float32 (32-bit floats):\n\n"
        "- from 20M MACs on: `small/small_float32.tflite` (80.00 % top-1)\n"
        "- from 107M MACs on: `large/large_float32.tflite` (91.23 % top-1)\n\n"
        "int8 (8-bit integers throughout):\n\n"
        "- none passed its checks\n"
    ) in card


def test_the_card_has_a_row_for_each_file_and_marks_the_bad_ones(card):
    rows = [line for line in card.split("## Speed")[0].splitlines() if line.startswith("| `")]
    assert rows[0] == "| `large/large_float32.tflite` | 91.23 | 91.23 | 107M | 1K | 160 | 100 | yes | passed |"
    assert rows[1].endswith("| - | failed: Its accuracy / is low. |")
    assert rows[3].startswith("| `tiny/tiny_float32.tflite` | - | - |")
    assert rows[3].endswith("| failed: LiteRT cannot run it: no. |")
    assert len(rows) == 4 and all(row.count("|") == 10 for row in rows)


def test_the_card_says_how_fast_and_how_large_each_file_is(make_entry, header, tmp_path):
    timed = {"latency": (Latency("laptop", 2, 4.0, 5.25),), "arena_bytes": 3072}
    models = (
        make_entry("large", macs=300, top1=0.9, gpu_refused={"SQUEEZE": "has no kernel", "TILE": "too"}, **timed),
        make_entry("small", macs=100, top1=0.8, gpu_refused={}),
    )
    write_model_card(tmp_path / "README.md", Manifest(**vars(header), models=models))
    assert (
        "| File | Latency, ms, laptop, 2 threads | p90, ms, laptop, 2 threads | GPU, by LiteRT's list |\n"
        "|---|---:|---:|---|\n"
        "| `large/large_float32.tflite` | 4 | 5.25 | refuses SQUEEZE, TILE |\n"
        "| `small/small_float32.tflite` | - | - | takes all |\n"
    ) in (tmp_path / "README.md").read_text()


def test_no_placeholder_is_left(card):
    assert "{path}" not in card and "{dtype}" not in card and "large_float32.tflite" in card.split("## On Android")[1]


def test_an_unknown_commit_is_said_to_be_unknown(make_entry, header, tmp_path):
    manifest = Manifest(**vars(header), models=(make_entry("small", macs=1, top1=0.5),))
    write_model_card(tmp_path / "README.md", dataclasses.replace(manifest, git=None, seed=None))
    assert "- Commit: unknown\n" in (tmp_path / "README.md").read_text()


def test_an_empty_manifest_is_refused(header, tmp_path):
    with pytest.raises(ValueError, match="Expected a manifest with at least one file"):
        write_model_card(tmp_path / "README.md", Manifest(**vars(header), models=()))
