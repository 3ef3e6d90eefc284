"""Why a layer or model of the user's cannot be opened, in one clause that names what stands in the way."""

import linecache
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from ofar_tf.models.functional_graph import inner_layers
from ofar_tf.models.user_code import is_library, one_line


class ClosedLayerError(Exception):
    """A layer that cannot be opened; its message is a clause such as `its call draws random numbers`."""


class Obstacle(NamedTuple):
    """What an attempt to open a layer ended with: a text, since an error would hold what all its callers hold.

    Attributes:
        text: A clause.
        is_known: Whether it is known of the layer, and is not only what its code raised.
    """

    text: str
    is_known: bool

    @classmethod
    def of(cls, error: Exception, layer: Any) -> Self:
        """Says what an error tells of a layer."""
        is_known = isinstance(error, ClosedLayerError)
        return cls(str(error) if is_known else _told(error, layer), is_known)


def first_obstacle(found: Sequence[Obstacle]) -> str:
    """Returns what is to be told of several attempts to open a layer, as a clause.

    Args:
        found: What each ended with, those that get further last. What is known of the layer comes before what its
            code raised, which the next attempt may have been there for.
    """
    return next((each.text for each in found if each.is_known), found[-1].text)


def _told(error: Exception, layer: Any) -> str:
    modules = {type(each).__module__ for each in inner_layers(layer)}
    lines = [
        linecache.getline(frame.f_code.co_filename, number).strip()
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") in modules and not is_library(frame.f_globals.get("__name__"))
    ]
    if not lines and isinstance(error, NotImplementedError):
        return f"Keras has no operation for {error}"
    return f"{one_line(error)}, at `{lines[-1]}`" if lines and lines[-1] else one_line(error)
