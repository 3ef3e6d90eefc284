"""An export laid out for Google Play, which gives each device the files of its tier.

Play for On-device AI (https://developer.android.com/google/play/on-device-ai) takes models in an AI pack, whose folders
name the device group that receives them: `NAME#group_GROUP`, seen by the app as `NAME`. Devices of no group receive
`NAME#group_other`; a folder without a suffix beside those is refused by bundletool. `NAME` is the pack's, since two
packs of an app may not hold the same path.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import jinja2

from ofar_tf.family.export_files import file_inside, read_export
from ofar_tf.family.kotlin_call import kotlin_image, kotlin_outputs, kotlin_run
from ofar_tf.family.manifest_values import to_json
from ofar_tf.family.model_entry import ModelEntry
from ofar_tf.shipping.play.device_targeting import targeting_xml
from ofar_tf.shipping.play.device_tier import DeviceTier
from ofar_tf.shipping.play.owned_folder import OwnedFolder
from ofar_tf.shipping.play.tier_files import TierFiles, choose_files
from ofar_tf.tasks.classification.accuracy import METRIC
from ofar_tf.tasks.detection.file_notes import DETECTIONS_NOTE
from ofar_tf.tasks.detection.file_notes import NAME as DETECTION

_TEMPLATES = {
    "README.md": "README.md",
    "build.gradle.kts": "{pack}/build.gradle.kts",
    "ModelPicker.kt": "app/src/main/kotlin/ofar/ModelPicker.kt",
    "AndroidModelPicker.kt": "app/src/main/kotlin/ofar/AndroidModelPicker.kt",
}
_TIER_SCHEMA_VERSION = 1


def write_package(
    export_dir: str | Path,
    package_dir: str | Path,
    *,
    tiers: Sequence[DeviceTier],
    steps_down: int = 1,
    prefer: str = "size",
    pack_name: str = "ofar_models",
    delivery: str = "install-time",
) -> tuple[TierFiles, ...]:
    """Chooses the files of each tier and lays copies of them out, with all that an Android project needs to use them.

    The same arguments give the same bytes; files that are right already are not written again.

    Args:
        export_dir: The folder of an export.
        package_dir: The folder to write: new, empty, or one that this function wrote.
        tiers: The tiers, as `ofar_tf.shipping.play.device_tier.parse_tiers` returns them.
        steps_down: How many cheaper files each tier receives besides the best one.
        prefer: `size` or `accuracy`, see `ofar_tf.shipping.selection.best_of`.
        pack_name: Name of the AI pack: lower case letters, digits and underscores, a letter first.
        delivery: When Play delivers the pack: `install-time`, `fast-follow` or `on-demand`.

    Returns:
        What each tier receives.

    Raises:
        ValueError: If nothing fits a tier, a file is not the one that the manifest describes, or the folder is not
            ours.
        FileNotFoundError: If there is no export, or a file of it is missing.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", pack_name):
        raise ValueError(
            "Expected a pack's name of lower case letters, digits and underscores, a letter first. "
            f"Received: {pack_name!r}."
        )
    source = Path(export_dir)
    manifest = read_export(source)
    folder = OwnedFolder(Path(package_dir))
    chosen = tuple(choose_files(manifest, tier, steps_down=steps_down, prefer=prefer) for tier in tiers)
    contents = {"app/device_targeting_config.xml": targeting_xml(tiers).encode()}
    note = DETECTIONS_NOTE if manifest.task == DETECTION else ""
    for name, path in _TEMPLATES.items():
        text = _template(name).render(pack_name=pack_name, delivery=delivery, chosen=chosen, outputs_note=note)
        contents[path.format(pack=pack_name)] = text.encode()
    for files in chosen:
        assets = f"{pack_name}/src/main/assets/{pack_name}#group_{files.tier.group}"
        contents |= {f"{assets}/{name}": content for name, content in _assets(files, source).items()}
    folder.write(contents)
    return chosen


def _assets(files: TierFiles, source: Path) -> Mapping[str, bytes]:
    # A detector has no output for each class.
    labels = _labels(files.models[0], source, one_output_each=files.metric == METRIC)
    contents = {_name(model): (source / model.path).read_bytes() for model in files.models}
    description = {
        "schema_version": _TIER_SCHEMA_VERSION,
        "tier": files.tier.name,
        "budget_ms": files.tier.budget_ms,
        "labels": labels,
        "models": [_describe(model) for model in files.models],
    }
    return contents | {"tier.json": (json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode()}


def _describe(model: ModelEntry) -> dict[str, object]:
    scores = {model.metrics.metric.key: model.metrics.best} if model.metrics else {}
    return {
        "file": _name(model),
        "sha256": model.sha256,
        "bytes": model.bytes,
        "resolution": to_json(model.resolution),
        "precision": model.quantization,
        "macs": model.macs,
        **scores,
        "input": asdict(model.input),
        "output": asdict(model.output),
        **({"more_outputs": [asdict(each) for each in model.more_outputs]} if model.more_outputs else {}),
    }


def _labels(model: ModelEntry, source: Path, *, one_output_each: bool) -> list[str]:
    if model.labels is None:
        return []
    labels = file_inside(source, model.labels).read_text(encoding="utf-8").splitlines()
    if one_output_each and len(labels) != model.output.shape[-1]:
        raise ValueError(
            f"Expected a name for each of the {model.output.shape[-1]} classes of {model.path} in {model.labels}. "
            f"Received: {len(labels)}."
        )
    return labels


def _name(model: ModelEntry) -> str:
    return PurePosixPath(model.path).name


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ofar_tf.shipping.play", "templates"),
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {each.__name__: each for each in (kotlin_image, kotlin_outputs, kotlin_run)}
    return environment.get_template(name)
