import dataclasses
import json
import shutil

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from ofar_tf.family import packed_family
from ofar_tf.family.manifest import Manifest
from ofar_tf.family.packed_family import pack_family
from ofar_tf.family.packed_file import PackedFile, PackedSignature
from ofar_tf.files.atomic_file import sha256_of
from ofar_tf.tflite import merged_signatures
from ofar_tf.tflite.flatbuffer_file import read_model, write_model
from ofar_tf.tflite.metadata import FileMetadata, read_metadata, with_metadata

LABELS = ("red", "green", "blue")


@pytest.fixture
def export(tmp_path, converted, make_entry, header):
    """An export folder: two int8 files that share their kernels, two float files that share too little, and a lone one.

    Those that stand for the smaller resolution are of another precision and take the same images.
    """
    entries = []
    kinds = [
        ("int8", "int8", 16),
        ("int8", "int8_float_io", 12),
        ("float32", "float32", 16),
        ("float32", "float16", 12),
    ]
    for quantization, precision, resolution in [*kinds, ("dynamic", "dynamic", 16)]:
        name = f"net_ofar_small_r{resolution}"
        entry = make_entry(name, macs=resolution**2, top1=resolution / 20, resolution=resolution)
        entry = dataclasses.replace(
            entry, path=f"{name}/{name}_{quantization}.tflite", quantization=quantization, id=name
        )
        about = FileMetadata(name=name, description="Colours.", license="CC0", labels=LABELS)
        (tmp_path / entry.path).parent.mkdir(exist_ok=True)
        (tmp_path / entry.path).write_bytes(with_metadata(converted(precision).read_bytes(), about))
        entries.append(entry)
    entries.sort(key=lambda entry: -entry.macs)
    return tmp_path, Manifest(**vars(header), models=tuple(entries))


@pytest.fixture
def options(images):
    def batches(resolution):
        yield images, np.zeros(len(images), np.int64)

    return {"batches": batches, "threads": 1}


def test_what_shares_weights_is_packed_and_the_rest_is_not_and_says_why(export, options, monkeypatch):
    folder, manifest = export
    # The names in so small a file outweigh its weights. What is asked for lies between the savings of the two.
    monkeypatch.setattr(packed_family, "MIN_SAVING", 0.0)
    savings = [file.saving for file in pack_family(manifest, folder, **options)]
    assert savings[0] > savings[1] + 0.01
    monkeypatch.setattr(packed_family, "MIN_SAVING", sum(savings) / 2)
    shutil.rmtree(folder / "packed")
    int8, float32 = pack_family(manifest, folder, **options)
    path = folder / "packed" / "net_ofar_small_int8.tflite"
    assert (int8.path, int8.sha256, int8.reason) == ("packed/net_ofar_small_int8.tflite", sha256_of(path), None)
    assert int8.bytes == path.stat().st_size
    singles = [folder / entry.path for entry in manifest.models if entry.quantization == "int8"]
    assert int8.single_bytes == sum(file.stat().st_size for file in singles)
    assert [dataclasses.astuple(signature) for signature in int8.signatures] == [
        ("r16", "net_ofar_small_r16", 16, 256, 0.8, 0, 0.0),
        ("r12", "net_ofar_small_r12", 12, 144, 0.6, 0, 0.0),
    ]
    assert (float32.path, float32.sha256) == (None, None) and float32.reason.startswith("It would save ")
    assert [file.name for file in (folder / "packed").iterdir()] == [path.name]


def test_a_packed_file_keeps_labels_and_licence_and_the_document_tells_all_of_it(export, options):
    folder, manifest = export
    packed = pack_family(manifest, folder, **options)
    assert read_metadata(folder / packed[0].path) == FileMetadata(
        name="net_ofar_small",
        description="Colours. Its signatures r16, r12 are the same structure at those resolutions.",
        license="CC0",
        labels=LABELS,
    )
    documented = json.loads((folder / "packed.json").read_text())
    assert documented["packed"] == json.loads(json.dumps([dataclasses.asdict(file) for file in packed]))
    assert (documented["seed"], documented["dataset"]) == (manifest.seed, manifest.dataset)


def one_weight_changed(content, *, step):
    """The file with the first weight of its largest 8-bit kernel another integer."""
    model = read_model(content)
    kernels = [tensor for tensor in model.subgraphs[0].tensors if tensor.type == schema.TensorType.INT8]
    buffers = [model.buffers[tensor.buffer] for tensor in kernels if model.buffers[tensor.buffer].data is not None]
    largest = max(buffers, key=lambda buffer: len(buffer.data))
    weights = largest.data.view(np.int8).copy()
    weights[0] += step if weights[0] < 0 else -step
    largest.data = weights.view(np.uint8)
    return write_model(model)


@pytest.mark.parametrize(("labels_right", "reason"), [(True, None), (False, "Its signature r12 has top-1 0.0000, its")])
def test_a_signature_with_changed_weights_is_measured_itself(export, options, monkeypatch, labels_right, reason):
    folder, manifest = export
    monkeypatch.setattr(merged_signatures, "_MOST_TIES", 1 / 216)
    small = folder / "net_ofar_small_r12" / "net_ofar_small_r12_int8.tflite"
    small.write_bytes(one_weight_changed(small.read_bytes(), step=1))
    # The network calls every image class 0.
    right = options["batches"]
    if not labels_right:
        options["batches"] = lambda resolution: [(next(right(resolution))[0], np.ones(24, np.int64))]
    int8, *_ = pack_family(manifest, folder, **options)
    assert [(one.changed_weights, one.top1) for one in int8.signatures] == [(0, 0.8), (1, 1.0 if labels_right else 0.0)]
    assert (int8.reason or "").startswith(reason or "") and (int8.reason is None) == (reason is None)


def test_merging_that_changes_an_output_is_an_error(export, options, monkeypatch):
    folder, manifest = export
    monkeypatch.setattr(
        packed_family, "largest_difference", lambda _, name, *__: {"r16": 0.0, "r12": float("nan")}[name]
    )
    with pytest.raises(
        RuntimeError, match=r"Expected r12 of small to compute in company what it does alone. Received: "
    ):
        pack_family(manifest, folder, **options)
    assert not (folder / "packed").exists() and not (folder / "packed.json").exists()


def test_files_that_failed_a_check_are_left_out(export, options):
    folder, manifest = export
    failed = [
        dataclasses.replace(entry, checks=entry.checks.with_reason("Its accuracy is low.")) for entry in manifest.models
    ]
    assert pack_family(dataclasses.replace(manifest, models=tuple(failed)), folder, **options) == ()
    assert json.loads((folder / "packed.json").read_text())["packed"] == []


def test_a_packed_file_is_summed_up_in_one_line():
    signatures = tuple(PackedSignature(f"r{r}", f"net_r{r}", r, r, 0.5, 0, 0.0) for r in (16, 12))
    file = PackedFile("half", "int8", bytes=1500, single_bytes=2000, signatures=signatures, path="packed/x.tflite")
    assert file.saving == 0.25
    assert file.summary == "Packed: r16 and r12 of half, int8, in packed/x.tflite: 1,500 bytes instead of 2,000."
    refused = dataclasses.replace(file, reason="It would save 1%.")
    assert refused.summary == "Not packed: r16 and r12 of half, int8. It would save 1%."
