"""Prints the path of the file to ship for a budget, and nothing else on standard output; why, on standard error.

ofar select --export_dir=RUN/export --max_macs=120M
"""

import sys
from pathlib import Path

from ofar_tf import flags
from ofar_tf.shipping.select_config import SelectConfig


def main(config: SelectConfig) -> None:
    """Runs the command."""
    from ofar_tf.family.export_files import read_export
    from ofar_tf.shipping.reasons import reasons
    from ofar_tf.shipping.selection import Limits, choose
    from ofar_tf.text.quantities import parse_quantity

    with flags.one_line_errors():
        folder = Path(config.export_dir)
        manifest = read_export(folder)
        if config.min_top1 is not None and manifest.metric.key != "top1":
            raise ValueError(f"Expected --min_score of {manifest.metric.title}. Received: --min_top1.")
        limits = Limits(
            max_macs=parse_quantity(config.max_macs) if config.max_macs else None,
            max_bytes=parse_quantity(config.max_bytes) if config.max_bytes else None,
            min_score=config.min_score if config.min_top1 is None else config.min_top1,
            max_latency_ms=config.max_latency_ms,
            quantization=config.quantization,
            device=config.device,
            form=config.form,
        )
        winner, *others = choose(manifest, limits, prefer=config.prefer)
    print(*reasons(manifest, limits, winner=winner, others=others), sep="\n", file=sys.stderr)
    print(folder / winner.path)


if __name__ == "__main__":
    flags.run(main, SelectConfig)
