"""A prediction turned into the table that `mercer predict` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mercer.dsl.spaces import coordinates_of

if TYPE_CHECKING:
    from mercer.runtime.posterior.predict import Prediction


def table(prediction: Prediction, quantiles: tuple[float, ...]) -> pd.DataFrame:
    """A row for each new point; outcomes with other rows are joined by label."""
    frames = []
    for name in prediction.means:
        frames.append(_frame(prediction, name, quantiles))
    result = frames[0]
    for frame in frames[1:]:
        if len(frame) == len(result):
            new = [c for c in frame.columns if c not in result.columns]
            result = pd.concat([result, frame[new]], axis=1)
        else:
            shared = [c for c in frame.columns if c in result.columns]
            result = result.merge(frame, how="outer", on=shared) if shared else result
    return result


def _frame(prediction: Prediction, name: str, quantiles: tuple[float, ...]) -> pd.DataFrame:
    bound = prediction.bound
    mean = prediction.means[name]
    dims = tuple(prediction.dims.get(name, ()))[: mean.ndim]
    need = next((n for n in bound.needs.data if n.name == name), None)
    inner = () if need is None else coordinates_of(need.space)
    count = sum(d in inner for d in dims)
    outer = dims[: len(dims) - count] if len(dims) == mean.ndim else ()
    shape = mean.shape[: mean.ndim - count]
    columns: dict[str, Any] = {}
    grid = np.indices(shape).reshape(len(shape), -1)
    for dim, places in zip(outer, grid, strict=False):
        labels = bound.labels.get(dim.rstrip("'"))
        if (
            labels is not None
            and dim not in bound.numbered
            and len(labels) == mean.shape[outer.index(dim)]
        ):
            columns[dim] = np.asarray(labels)[places]
    if name in prediction.probabilities:
        probability = prediction.probabilities[name].reshape(int(np.prod(shape)), -1)
        labels = [str(x) for x in bound.labels[need.space.index]] if need is not None else []
        columns[f"{name}.most_likely"] = np.asarray(labels)[probability.argmax(1)]
        columns.update({f"{name}.p.{x}": probability[:, i] for i, x in enumerate(labels)})
        return pd.DataFrame(columns)
    values = {"mean": mean, "sd": prediction.sds[name]}
    values |= {f"q{100 * q:g}": prediction.quantile(name, q) for q in quantiles}
    width = int(np.prod(mean.shape[len(shape) :])) if count else 1
    for place in range(width):
        tail = f".{place + 1}" if count else ""
        for statistic, value in values.items():
            columns[f"{name}{tail}.{statistic}"] = value.reshape(-1, width)[:, place]
    return pd.DataFrame(columns)
