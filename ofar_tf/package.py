r"""Lays the chosen files of an export out for Google Play, which gives each device those of its tier.

ofar package --export_dir=RUN/export --package_dir=OUT \
    --tiers=high:min_ram=6G:max_macs=300M:budget_ms=33,low:max_macs=50M
"""

from ofar_tf import flags
from ofar_tf.shipping.package_config import PackageConfig


def main(config: PackageConfig) -> None:
    """Runs the command."""
    from ofar_tf.shipping.play.device_tier import parse_tiers
    from ofar_tf.shipping.play.play_package import write_package
    from ofar_tf.shipping.play.tier_table import print_tiers

    with flags.one_line_errors():
        chosen = write_package(
            config.export_dir,
            config.package_dir,
            tiers=parse_tiers(config.tiers),
            steps_down=config.steps_down,
            prefer=config.prefer,
            pack_name=config.pack_name,
            delivery=config.delivery,
        )
    print_tiers(chosen)
    print(f"Next: {config.package_dir}/README.md")


if __name__ == "__main__":
    flags.run(main, PackageConfig)
