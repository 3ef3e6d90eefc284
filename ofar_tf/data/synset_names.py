"""Names for the classes of ImageNet, which tensorflow-datasets knows by WordNet's numbers only."""

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_FILE = Path(__file__).with_name("imagenet_names.txt")


def named_synsets(class_names: Sequence[str]) -> tuple[str, ...]:
    """Returns class names that a person can read, where they are numbers of ImageNet's synsets.

    Args:
        class_names: The class names of a data set, in the order of the labels.

    Returns:
        In the same order the first lemma of each synset, as `tench` for `n01440764`; with the number behind it where
        two classes have the same one (a crane is a bird and a machine, a Cardigan a dog, a cardigan is knitted). The
        names as they came where any of them is not the number of one of ImageNet's 1,000 classes.
    """
    lemmas = _lemmas()
    if not all(name in lemmas for name in class_names):
        return tuple(class_names)
    shared = Counter(lemma.casefold() for lemma in lemmas.values())
    return tuple(
        f"{lemmas[name]} ({name})" if shared[lemmas[name].casefold()] > 1 else lemmas[name] for name in class_names
    )


@functools.cache
def _lemmas() -> dict[str, str]:
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines)
