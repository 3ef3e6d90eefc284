"""How a search runs its networks, and which way is the faster."""

EXECUTIONS = ("masked", "sliced")

# Multiply-adds of an epoch's forward passes of the whole network, from which on the time that compact networks save is
# more than tracing them again takes. Measured on two cores, see benchmarks/README.md; an accelerator computes about
# thirty times as much while Python traces.
_WORTH_TRACING = 1.5e11
_ACCELERATION = 30


def faster_execution(macs: int, *, images: int, accelerated: bool) -> str:
    """Says whether an epoch of the search is faster with masked or with sliced networks.

    Masked networks cost as much as the whole one and are traced once; sliced ones cost what they keep, and are traced
    again whenever their masks have changed. It depends on numbers of the run only, and never on a clock, so that a run
    is repeated and resumed with the same operations.

    Args:
        macs: Multiply-adds of one image through the whole network at the largest resolution.
        images: Images in an epoch.
        accelerated: Whether there is a GPU or TPU.

    Returns:
        `masked` or `sliced`.
    """
    worth = _WORTH_TRACING * (_ACCELERATION if accelerated else 1)
    return "sliced" if macs * images >= worth else "masked"
