"""Files of one precision that return different things are not compared with each other, in no document."""

import pytest

from ofar_tf.conversion.images import FamilyImages
from ofar_tf.family import documents
from ofar_tf.family.columns import CSV, columns_of
from ofar_tf.family.family_export import _with_pareto
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.manifest import Manifest
from ofar_tf.tasks.classification.task import Classification


@pytest.fixture
def manifest(make_entry, header):
    """Two networks as `int8` in two forms, the second form better at every cost."""
    files = [
        make_entry(
            name, macs=macs, top1=top1 + gain, quantization="int8", form=form, path=f"{name}_{form or 'usual'}.tflite"
        )
        for name, macs, top1 in (("large", 300, 0.8), ("small", 100, 0.5))
        for form, gain in ((None, 0.0), ("raw", 0.15))
    ]
    return Manifest(**vars(header), models=_with_pareto(files))


def test_each_form_of_a_precision_has_a_front_of_its_own(manifest):
    assert [model.variant for model in manifest.models] == ["int8", "int8 raw"] * 2
    assert all(model.pareto for model in manifest.models)


def test_every_document_tells_the_forms_of_a_precision_apart(manifest, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(documents, "plot_pareto", lambda path, points, **keywords: drawn.extend(points))
    with FamilyFolder(tmp_path) as folder:
        nothing = {"images": FamilyImages(lambda size: [], lambda size, images: ()), "report_images": 0}
        documents.describe(folder, manifest, task=Classification(3), labels=("a", "b", "c"), **nothing)
    assert {(point.structure, point.resolution, point.macs, point.variant) for point in drawn} == {
        ("small", "16", macs, variant) for macs in (100, 300) for variant in ("int8", "int8 raw")
    }
    assert (
        "int8 (8-bit integers throughout):\n\n"
        "- from 100 MACs on: `small_usual.tflite` (50.00 % top-1, 43.1 to 56.9)\n"
        "- from 300 MACs on: `large_usual.tflite` (80.00 % top-1, 73.9 to 85.0)\n\n"
        "int8 raw (8-bit integers throughout):\n\n"
        "- from 100 MACs on: `small_raw.tflite` (65.00 % top-1, 58.2 to 71.3)\n"
        "- from 300 MACs on: `large_raw.tflite` (95.00 % top-1, 91.0 to 97.3)\n"
    ) in folder.model_card.read_text()
    assert '"precision": "int8 raw"' in folder.report.read_text()
    (column,) = [each for each in columns_of(manifest, CSV) if each.name == "precision"]
    assert [column.text(model) for model in manifest.models] == ["int8", "int8 raw"] * 2
