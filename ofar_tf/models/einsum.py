"""`einsum` as products, sums and matrix products of two tensors, which TFLite has: of most einsums it has none.

What is left is what people write otherwise, so channels are followed through a gate by einsum as through any gate.
"""

from collections.abc import Sequence
from typing import Any

import keras

ops = keras.ops
Names = tuple[str, ...]


def is_einsum(operation: Any) -> bool:
    """Returns whether an operation is `keras.ops.einsum`."""
    return type(operation).__name__ == "Einsum" and not isinstance(operation, keras.layers.Layer)


def as_products(operation: Any, tensors: Sequence[Any]) -> keras.Model | None:
    """Makes a graph of an einsum.

    Args:
        operation: Any layer or operation.
        tensors: What it is called on.

    Returns:
        A functional model that computes the same on these tensors, each once. `None` where the operation is no einsum,
        or one of constants, of more than two tensors, of a diagonal, or of several axes that matrix products cannot
        take.
    """
    if not is_einsum(operation) or not all(isinstance(tensor, keras.KerasTensor) for tensor in tensors):
        return None
    inputs = {id(tensor): keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in tensors}
    factors, wanted = _named(operation.subscripts, [inputs[id(tensor)] for tensor in tensors])
    if any(len(set(names)) < len(names) for _, names in factors):
        return None
    product = _product(*factors, wanted=wanted) if len(factors) <= 2 else None
    if product is None:
        return None
    return keras.Model(list(inputs.values()), _spread(*product, over=wanted))


def _named(subscripts: str, tensors: Sequence[Any]) -> tuple[list[tuple[Any, Names]], Names]:
    """Returns each tensor with the names of its axes, and those of the result; `...` stands for numbered ones."""
    given, arrow, result = subscripts.replace(" ", "").partition("->")
    parts = given.split(",")
    more = [len(tensor.shape) - len(part.replace("...", "")) for part, tensor in zip(parts, tensors, strict=True)]
    if not arrow:
        letters = given.replace(",", "").replace(".", "")
        result = "..." * ("..." in given) + "".join(sorted(each for each in set(letters) if letters.count(each) == 1))

    def names(part: str, count: int) -> Names:
        head, dots, tail = part.partition("...")
        return (*head, *(str(number) for number in range(count, 0, -1) if dots), *tail)

    factors = [(tensor, names(part, count)) for part, tensor, count in zip(parts, tensors, more, strict=True)]
    return factors, names(result, max(more))


def _product(*factors: tuple[Any, Names], wanted: Names) -> tuple[Any, Names] | None:
    """Returns the product with the names of its axes, those that are wanted; `None` where it takes more than this."""
    known = [set(names) for _, names in factors]
    summed = [
        _summed(*factor, kept={*wanted, *(set().union(*known[:place], *known[place + 1 :]))})
        for place, factor in enumerate(factors)
    ]
    if len(summed) == 1:
        return _summed(*summed[0], kept=set(wanted), also_ones=True)
    (first, names), (second, others) = sorted(summed, key=lambda each: -len(each[1]))
    own, shared = ([n for n in names if n in wanted and (n in others) is both] for both in (False, True))
    other = [name for name in others if name in wanted and name not in names]
    inner = [name for name in names if name in others and name not in wanted]
    if not (own and inner and other):
        union = (*names, *(name for name in others if name not in names))
        product = ops.multiply(_spread(first, names, over=union), _spread(second, others, over=union))
        return _summed(product, union, kept=set(wanted), also_ones=True)
    if len(inner) > 1 or len(other) > 1 or len(own) + len(shared) + 1 < len(names):
        return None
    batch = (*shared, *own[:-1])
    rows = _spread(first, names, over=(*batch, own[-1], *inner))
    columns = _spread(second, others, over=(*batch, *inner, *other))
    return ops.matmul(rows, columns), (*batch, own[-1], *other)


def _summed(tensor: Any, names: Names, *, kept: set[str], also_ones: bool = False) -> tuple[Any, Names]:
    """Sums over the axes that nobody asks for; over those of length one at the end, when they have met the others."""
    gone = [axis for axis, name in enumerate(names) if name not in kept and (also_ones or tensor.shape[axis] != 1)]
    if not gone:
        return tensor, names
    return ops.sum(tensor, axis=tuple(gone)), tuple(name for axis, name in enumerate(names) if axis not in gone)


def _spread(tensor: Any, names: Names, *, over: Names) -> Any:
    """Brings the axes of a tensor into an order, with axes of length one where it has none."""
    places = tuple(names.index(name) for name in over if name in names)
    missing = tuple(place for place, name in enumerate(over) if name not in names)
    tensor = tensor if places == tuple(range(len(places))) else ops.transpose(tensor, places)
    return ops.expand_dims(tensor, missing) if missing else tensor
