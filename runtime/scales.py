"""Scales of data that default priors are relative to: taken once, at the fit, and kept."""

from __future__ import annotations

from typing import Any

import numpy as np


def input_spread(*parts: Any) -> float:
    """Root mean square over coordinates of the standard deviations of the rows; 1 if constant.

    `parts`: the factors of the input, each [n] or [n, d]; factors that are labels do not count.
    """
    variances: list[np.ndarray] = []
    for part in parts:
        x = np.asarray(part)
        if x.size and not np.issubdtype(x.dtype, np.integer):
            rows = x.reshape(-1, x.shape[-1] if x.ndim > 1 else 1).astype(float)
            variances.append(np.var(rows, axis=0))
    return _positive(float(np.sqrt(np.mean(np.concatenate(variances))))) if variances else 1.0


def outcome_spread(y: Any, link: str = "identity") -> float:
    """Standard deviation of an outcome on the scale of its link; missing ones left out.

    log: of log(y + 1/2), which counts need; logit: 1, since a Bool tells nothing of its scale.
    """
    if y is None or link == "logit":
        return 1.0
    y = np.asarray(y, float)
    y = y[np.isfinite(y)]
    if link == "log":
        y = np.log(np.maximum(y, 0) + 0.5)
    return _positive(float(np.std(y))) if y.size else 1.0


def _positive(value: float) -> float:
    return value if np.isfinite(value) and value > 0 else 1.0


def reduce_by(word: str, values: Any, codes: Any, count: int, *, axis: int) -> Any:
    """A reduction over the rows of each label: axis `axis` becomes the `count` labels."""
    rows = np.moveaxis(np.asarray(values, float), axis, 0)
    codes = np.asarray(codes)
    reduce = {
        "mean": np.mean,
        "sum": np.sum,
        "max": np.max,
        "min": np.min,
        "sd": lambda v, axis: np.std(v, axis=axis, ddof=1),
    }[word]
    parts = [reduce(rows[codes == g], axis=0) for g in range(count)]
    return np.moveaxis(np.stack(parts), 0, axis)
