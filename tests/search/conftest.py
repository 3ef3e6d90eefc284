"""Channel groups and masks without any training."""

from collections.abc import Callable

import numpy as np
import pytest

from ofar_tf.pruning.channel_groups import ChannelGroup
from ofar_tf.pruning.channel_mask import ChannelMask


@pytest.fixture(scope="session")
def make_mask() -> Callable[[str], ChannelMask]:
    """Makes a mask of one group from text: `1101` keeps all channels but the third."""

    def make(text: str) -> ChannelMask:
        group = ChannelGroup("conv", start=0, size=len(text), layers=("conv",), gammas=(1,))
        return ChannelMask((group,), np.array([letter == "1" for letter in text]))

    return make
