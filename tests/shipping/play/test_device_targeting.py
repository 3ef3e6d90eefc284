from xml.etree import ElementTree

from ofar_tf.shipping.play.device_targeting import NAMESPACE, targeting_xml
from ofar_tf.shipping.play.device_tier import parse_tiers

TIERS = parse_tiers(
    [
        "high:min_ram=6G:soc=Q&I/SM8650+Google/Tensor G3:device=google/husky+samsung:max_macs=300M",
        "mid:min_ram=3G:max_macs=120M",
        "low:max_macs=50M",
    ]
)


def test_the_file_has_the_published_form():
    # Form and order of https://developer.android.com/google/play/device-targeting, written out by hand.
    assert targeting_xml(TIERS) == (
        """\
<config:device-targeting-config xmlns:config="http://schemas.android.com/apk/config">
  <config:device-group name="high">
    <config:device-selector ram-min-bytes="6000000000">
      <config:included-device-id brand="google" device="husky" />
      <config:included-device-id brand="samsung" />
      <config:system-on-chip manufacturer="Q&amp;I" model="SM8650" />
      <config:system-on-chip manufacturer="Google" model="Tensor G3" />
    </config:device-selector>
  </config:device-group>
  <config:device-group name="mid">
    <config:device-selector ram-min-bytes="3000000000" />
  </config:device-group>
</config:device-targeting-config>
"""
    )


def test_a_parser_finds_every_group_but_plays_own():
    root = ElementTree.fromstring(targeting_xml(TIERS))
    assert root.tag == f"{{{NAMESPACE}}}device-targeting-config"
    assert [group.get("name") for group in root] == ["high", "mid"]
    assert root[0][0][2].attrib == {"manufacturer": "Q&I", "model": "SM8650"}
