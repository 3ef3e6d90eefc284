from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.font_manager import fontManager

from ofar_tf.tasks.detection.lettering import lettered
from ofar_tf.tasks.detection.pictures import draw_detections, pixels_of

USUAL = tuple(rcParams["font.family"])
ONLY_IN_STIX = "\N{LATIN SMALL LETTER X WITH PALATAL HOOK}"
CAT_IN_CHINESE, DOG_IN_THAI = "\u732b", "\u0e2b\u0e21\u0e32"


@pytest.fixture(autouse=True)
def only_the_fonts_of_matplotlib(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fontManager, "ttflist", [each for each in fontManager.ttflist if "mpl-data" in each.fname])
    lettered.cache_clear()
    yield
    lettered.cache_clear()


@pytest.mark.parametrize("name", ["cat", "K\u00f6ln", "Ko\u0308ln", "\u043a\u043e\u0442", "5$ and 10$", "a b"])
def test_a_name_whose_letters_the_usual_font_has_is_written_in_it(name: str) -> None:
    assert lettered(name, 3) == (name, USUAL)


def test_a_letter_that_the_usual_font_lacks_is_taken_from_one_that_has_it() -> None:
    assert lettered(f"cat {ONLY_IN_STIX}", 3) == (f"cat {ONLY_IN_STIX}", (*USUAL, "STIXGeneral"))


@pytest.mark.parametrize("name", [CAT_IN_CHINESE, f"cat {DOG_IN_THAI}", f"{ONLY_IN_STIX} {CAT_IN_CHINESE}"], ids=ascii)
def test_a_name_that_no_font_can_write_is_the_number_of_its_class(name: str) -> None:
    assert lettered(name, 3) == ("class 3", USUAL)


def test_no_letter_of_a_picture_is_an_empty_box() -> None:
    """Matplotlib warns of each, and here a warning is an error."""
    boxes = np.array([[[0.1, 0.1, 0.5, 0.5]] * 2], np.float32)
    labels = {
        "boxes": boxes,
        "classes": np.array([[0, 1]]),
        "crowd": np.zeros((1, 2), bool),
        "content": np.ones((1, 2)),
    }
    found = {"boxes": boxes, "classes": np.array([[1, 0]]), "scores": np.full((1, 2), 0.9), "count": np.array([2])}
    figure = draw_detections(
        np.zeros((1, 32, 32, 3), np.float32), labels, {"net": found}, class_names=[CAT_IN_CHINESE, ONLY_IN_STIX]
    )
    pixels_of(figure)
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == [
        "class 0",
        ONLY_IN_STIX,
        f"{ONLY_IN_STIX} 0.90",
        "class 0 0.90",
    ]
