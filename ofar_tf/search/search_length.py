"""How long a search takes, where nobody says."""

import math

MOST_EPOCHS = 10


def usual_search_epochs(epochs: int) -> int:
    """Returns the most epochs of a search: a third of those that there are, which leaves one for joint training.

    Args:
        epochs: Epochs of search and joint training together, at least 1.
    """
    return min(MOST_EPOCHS, math.ceil(epochs / 3), epochs - 1)
