"""The manifest's entry of a file that was converted: its facts, measured."""

from collections.abc import Mapping
from pathlib import Path

from ofar_tf.checks.layer_error import worst_layers, write_layer_errors
from ofar_tf.checks.measurement import Measurer
from ofar_tf.checks.model_explorer import write_overlay
from ofar_tf.conversion.member import FamilyMember
from ofar_tf.evaluation.network_parity import NetworkParity
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.manifest import ModelEntry
from ofar_tf.files import atomic_file
from ofar_tf.tasks.interface import Shipped
from ofar_tf.tflite.network_file import TFLiteNetwork

_WORST_LAYERS = 10


def file_entry(
    member: FamilyMember,
    path: Path,
    *,
    task: Shipped,
    precision: str,
    form: str | None,
    measurer: Measurer,
    folder: FamilyFolder,
    parity: NetworkParity | None,
    versions: Mapping[str, str],
) -> ModelEntry:
    """Checks and measures a file, and writes the table of its layers, and an overlay for Model Explorer, beside it.

    Args:
        member: The network that it was made of.
        path: The file.
        task: What the network learned.
        precision: A key of `ofar_tf.conversion.precision.PRECISIONS`.
        form: What the file returns, where that is not the usual.
        measurer: Measures files of this network.
        folder: The folder that it lies in.
        parity: How far the file's parent is from the network that was trained; too far fails the file.
        versions: Versions of the programs that made the file; empty where they are those of the manifest.

    Returns:
        The entry.
    """
    interface = TFLiteNetwork(path, ranges=task.output_ranges, allocate=False)
    measurement = measurer.measure(path, precision=precision)
    facts = measurer.facts(path, precision=precision)
    if facts.layer_errors:
        write_layer_errors(folder.layers_path(path), facts.layer_errors)
        write_overlay(folder.overlay_path(path), facts.layer_errors)
    checks = measurement.checks
    for reason in parity.reasons if parity else ():
        checks = checks.with_reason(reason)
    return ModelEntry(
        id=member.id,
        path=path.relative_to(folder.path).as_posix(),
        sha256=atomic_file.sha256_of(path),
        bytes=path.stat().st_size,
        structure=member.structure,
        rate=member.rate,
        resolution=member.size,
        macs=member.macs,
        params=member.params,
        quantization=precision,
        input=interface.input,
        output=interface.outputs[0],
        more_outputs=interface.outputs[1:],
        form=form,
        labels=folder.labels.name if task.has_classes else None,
        metrics=measurement.metrics,
        checks=checks,
        parity=parity,
        arena_bytes=facts.arena_bytes,
        gpu_refused=facts.gpu_refused,
        layer_errors=worst_layers(facts.layer_errors, _WORST_LAYERS),
        versions=versions or None,
        selection=measurement.selection,
        predicted=member.predicted.get(precision),
    )
