"""What every test relies on: a quiet TensorFlow, and command lines without processes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from absl import flags as absl_flags

# Read when TensorFlow and Matplotlib are first imported, also by the processes that tests start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the repository."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The prepared data sets beside the checkout, on machines that have them."""
    path = CHECKOUT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no {path}")
    return path


@pytest.fixture(scope="session")
def parse_command() -> Callable[..., Any]:
    """Turns the flags of a command into its configuration, as the command does."""
    from ofar_tf import flags

    def parse(kind: type[Any], *arguments: str) -> Any:
        values = absl_flags.FlagValues()
        flags.define(kind, values, module="ofar-command")
        return flags.parse(kind, values, ["ofar-command", *arguments])

    return parse
