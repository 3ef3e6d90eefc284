import dataclasses

import pytest

from ofar_tf.checks.accuracy_check import AccuracyCheck
from ofar_tf.family.manifest import Manifest
from ofar_tf.family.model_card import write_model_card
from ofar_tf.tasks.classification.accuracy import accuracy
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.tflite.latency import Latency
from ofar_tf.tflite.metadata import FileMetadata, read_metadata, with_metadata
from ofar_tf.tflite.network_file import TFLiteNetwork


@pytest.fixture
def card(make_entry, header, tmp_path):
    models = (
        make_entry("large", macs=107_000_000, top1=0.9123, pareto=True, resolution=160),
        make_entry("large", macs=107_000_000, top1=0.8, quantization="int8", reasons=("Its accuracy | is low.",)),
        make_entry("small", macs=20_000_000, top1=0.8, pareto=True),
        make_entry("tiny", macs=1_000, top1=0.8, metrics=None, reasons=("LiteRT cannot run it: no.",)),
    )
    write_model_card(tmp_path / "README.md", Manifest(**vars(header), models=models), task=Classification(3))
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
        "- from 20M MACs on: `small/small_float32.tflite` (80.00 % top-1, 73.9 to 85.0)\n"
        "- from 107M MACs on: `large/large_float32.tflite` (91.23 % top-1, 86.5 to 94.4)\n\n"
        "int8 (8-bit integers throughout):\n\n"
        "- none passed its checks\n"
    ) in card


def test_the_card_has_a_row_for_each_file_and_marks_the_bad_ones(card):
    rows = [line for line in card.split("## Speed")[0].splitlines() if line.startswith("| `")]
    assert (
        rows[0]
        == "| `large/large_float32.tflite` | 91.23 | 86.5 to 94.4 | 91.23 | 107M | 1K | 160 | 100 | yes | passed |"
    )
    assert rows[1].endswith("| - | failed: Its accuracy / is low. |")
    assert rows[3].startswith("| `tiny/tiny_float32.tflite` | - | - | - |")
    assert rows[3].endswith("| failed: LiteRT cannot run it: no. |")
    assert len(rows) == 4 and all(row.count("|") == 11 for row in rows)


def test_the_card_says_how_fast_and_how_large_each_file_is(make_entry, header, tmp_path):
    timed = {"latency": (Latency("laptop", 2, 4.0, 5.25),), "arena_bytes": 3072}
    models = (
        make_entry("large", macs=300, top1=0.9, gpu_refused={"SQUEEZE": "has no kernel", "TILE": "too"}, **timed),
        make_entry("small", macs=100, top1=0.8, gpu_refused={}),
    )
    write_model_card(tmp_path / "README.md", Manifest(**vars(header), models=models), task=Classification(3))
    assert (
        "| File | Latency, ms, laptop, 2 threads | GPU, by LiteRT's list |\n"
        "|---|---:|---|\n"
        "| `large/large_float32.tflite` | 4 (5.25) | refuses SQUEEZE, TILE |\n"
        "| `small/small_float32.tflite` | - | takes all |\n"
    ) in (tmp_path / "README.md").read_text()


def test_the_card_marks_the_files_whose_latency_the_noise_does_not_separate(make_entry, header, tmp_path):
    medians = {"large": (4.0, 3.9, 4.4), "middle": (4.1, 4.0, 4.2), "small": (2.0, 1.9, 2.1)}
    models = tuple(
        make_entry(name, macs=9 - rank, top1=0.5, latency=(Latency("laptop", 1, ms, 5.0, spread_ms=(least, most)),))
        for rank, (name, (ms, least, most)) in enumerate(medians.items())
    )
    write_model_card(tmp_path / "README.md", Manifest(**vars(header), models=models), task=Classification(3))
    lines = (tmp_path / "README.md").read_text().split("## Speed")[1].splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert [row.split(" | ")[1] for row in rows] == ["4 ≈ 3.9-4.4 (5)", "4.1 ≈ 4-4.2 (5)", "2 1.9-2.1 (5)"]


def test_the_card_says_which_images_the_choices_were_made_on(card, make_entry, header, tmp_path):
    assert "by their accuracy on the same 200 images whose accuracy is shown: there is no selection split." in card
    entry = make_entry("small", macs=1, top1=0.5, selection=accuracy(top1=0.4, top5=1.0, images=300))
    write_model_card(tmp_path / "README.md", Manifest(**vars(header), models=(entry,)), task=Classification(3))
    text = (tmp_path / "README.md").read_text()
    assert "by their accuracy on 300 images of the selection split; the accuracy that is shown is that on 200 o" in text


def test_the_card_warns_of_a_file_of_which_the_images_cannot_tell(make_entry, header, tmp_path):
    entry = make_entry("small", macs=1, top1=0.5)
    unsure = AccuracyCheck("cannot_tell", 0.01, images=72, losses=1, gains=0, drop=(-0.02, 0.06))
    entry = dataclasses.replace(entry, checks=dataclasses.replace(entry.checks, accuracy=unsure))
    write_model_card(tmp_path / "README.md", Manifest(**vars(header), models=(entry,)), task=Classification(3))
    assert f"| passed. {unsure.sentence} |" in (tmp_path / "README.md").read_text()


def test_what_the_card_says_of_metadata_and_inputs_is_true_of_real_files(card, converted, tmp_path):
    text = " ".join(card.split())
    for sentence in (
        "Each file carries metadata: the scale of its input, the class names, and",
        "MediaPipe's ImageClassifier therefore takes each one as it is, with `float32` and with `uint8` input alike.",
    ):
        assert sentence in text
    about = FileMetadata(name="net", labels=("a", "b", "c"), author="Ada", license="CC0")
    for precision in ("float32", "int8"):
        path = tmp_path / f"{precision}.tflite"
        path.write_bytes(with_metadata(converted(precision).read_bytes(), about))
        # What ImageClassifier asks for: names of the classes, and for float input how it is normalized.
        assert read_metadata(path) == about
        image = TFLiteNetwork(path, allocate=False).input
        assert image.dtype in ("float32", "uint8") and image.shape[0] == 1 and image.range == (0.0, 255.0)


def test_no_placeholder_is_left(card):
    assert "{path}" not in card and "{dtype}" not in card and "large_float32.tflite" in card.split("## On Android")[1]


def test_an_unknown_commit_is_said_to_be_unknown(make_entry, header, tmp_path):
    manifest = Manifest(**vars(header), models=(make_entry("small", macs=1, top1=0.5),))
    write_model_card(tmp_path / "README.md", dataclasses.replace(manifest, git=None, seed=None), task=Classification(3))
    assert "- Commit: unknown\n" in (tmp_path / "README.md").read_text()


def test_an_empty_manifest_is_refused(header, tmp_path):
    with pytest.raises(ValueError, match="Expected a manifest with at least one file"):
        write_model_card(tmp_path / "README.md", Manifest(**vars(header), models=()), task=Classification(3))
