"""Every place in parsed JSON, and other values there."""

import copy


def places(value, at=()):
    """Yields the way to every value inside of a JSON value, the value itself first."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*at, key))


def put(whole, place, value):
    """Returns a copy with another value in a place."""
    if not place:
        return value
    changed = copy.deepcopy(whole)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed
