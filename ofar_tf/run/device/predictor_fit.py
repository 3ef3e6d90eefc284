"""From times to a predictor: non-negative least squares of relative errors, and how far off it is elsewhere."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from ofar_tf.pruning.latency_predictor import PredictionError

Work = Mapping[str, float]


def fit_coefficients(works: Sequence[Work], milliseconds: Sequence[float]) -> dict[str, float]:
    """Finds the coefficients, none below 0, whose predictions are off by the least shares, squared and summed.

    Args:
        works: What `OperatorWork.of` counts in each structure.
        milliseconds: How long each took, above 0.

    Returns:
        Milliseconds for each unit of work; of every name that occurs, some of them 0.
    """
    names = list(dict.fromkeys(name for work in works for name in work))
    table = np.array([[work.get(name, 0.0) for name in names] for work in works])
    found = _fit(table, np.asarray(milliseconds, float))
    return dict(zip(names, map(float, found), strict=True))


def unseen_error(works: Sequence[Work], milliseconds: Sequence[float]) -> PredictionError:
    """Predicts each structure by a fit to all others.

    Args:
        works: What `OperatorWork.of` counts in each structure, at least two.
        milliseconds: How long each took.

    Returns:
        How far these predictions are off.
    """
    shares = []
    for index, (work, measured) in enumerate(zip(works, milliseconds, strict=True)):
        others = [*works[:index], *works[index + 1 :]], [*milliseconds[:index], *milliseconds[index + 1 :]]
        coefficients = fit_coefficients(*others)
        predicted = sum(coefficients.get(name, 0.0) * amount for name, amount in work.items())
        shares.append(abs(predicted / measured - 1.0))
    median, p90 = (float(value) for value in np.quantile(shares, (0.5, 0.9)))
    return PredictionError(median, p90, len(shares))


def _fit(table: np.ndarray, milliseconds: np.ndarray) -> np.ndarray:
    # Work is counted in one to billions: columns of the same size are what solvers are made for.
    relative = table / milliseconds[:, np.newaxis]
    scale = np.linalg.norm(relative, axis=0)
    scale[scale == 0] = 1.0
    solution, _ = nnls(relative / scale, np.ones(len(milliseconds)))
    return np.asarray(solution / scale)
