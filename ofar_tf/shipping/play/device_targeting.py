"""The file that tells Google Play which devices belong to which group.

Its form is that of https://developer.android.com/google/play/device-targeting. A device is in a group if one of the
group's selectors matches, and a selector matches if all its properties do; we write one selector for each group. A
device receives the first group that it is in.
"""

from collections.abc import Sequence
from xml.etree import ElementTree

from ofar_tf.shipping.play.device_tier import DeviceTier

NAMESPACE = "http://schemas.android.com/apk/config"


def targeting_xml(tiers: Sequence[DeviceTier]) -> str:
    """Writes the device targeting configuration.

    Args:
        tiers: The tiers, the one to prefer first. The default tier is Play's group `other`, which may not be declared.

    Returns:
        The text of `device_targeting_config.xml`.
    """
    ElementTree.register_namespace("config", NAMESPACE)
    root = ElementTree.Element(_name("device-targeting-config"))
    for tier in tiers:
        if not tier.is_default:
            group = ElementTree.SubElement(root, _name("device-group"), {"name": tier.group})
            _add_selector(group, tier)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_selector(group: ElementTree.Element, tier: DeviceTier) -> None:
    ram = {} if tier.min_ram is None else {"ram-min-bytes": str(tier.min_ram)}
    selector = ElementTree.SubElement(group, _name("device-selector"), ram)
    # In the order of Play's example: the schema may well be a sequence.
    for brand, device in tier.devices:
        attributes = {"brand": brand} | ({"device": device} if device else {})
        ElementTree.SubElement(selector, _name("included-device-id"), attributes)
    for manufacturer, model in tier.socs:
        ElementTree.SubElement(selector, _name("system-on-chip"), {"manufacturer": manufacturer, "model": model})


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"
