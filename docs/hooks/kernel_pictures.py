"""Kernels of the library turned into pictures of draws from their Gaussian processes."""

from __future__ import annotations

import io

import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mercer.stdlib import kernels
from mercer.stdlib.algebra import Kernel, Side
from mercer.stdlib.kernels import WORDS, Word

_GRID = np.linspace(0.0, 6.0, 241)
_CENTRE = 1.5
_COLOURS = ("#1f6fb2", "#d1812b", "#3a8f5c")
_VALUES = {"period": 2.0}
"""What stands for a default prior in a picture where 1 would show little."""
_DEGREE = 3


def kernel_pictures() -> dict[str, bytes]:
    """A PNG for each kernel that runs, by its name."""
    return {word.entry.name: _png(_figure(word)) for word in WORDS}


def _figure(word: Word) -> Figure:
    kernel, labels = _made(word), _labels(word)
    figure = Figure(figsize=(8, 2.3), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    random = np.random.default_rng(1)
    gram = _gram(kernel, _GRID, _GRID, labels)
    values, vectors = np.linalg.eigh(gram)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    draws = (root @ random.normal(size=(len(gram), 3 if labels is None else 1))).T
    for number, draw in enumerate(draws.reshape(3, len(_GRID))):
        left.plot(_GRID, draw, color=_COLOURS[number], lw=1.2)
    left.set_title("three draws" if labels is None else "one draw, for each of three labels")
    row = gram[np.searchsorted(_GRID, _CENTRE)]
    for number, part in enumerate(row.reshape(-1, len(_GRID))):
        right.plot(_GRID, part, color="#444" if labels is None else _COLOURS[number], lw=1.2)
    right.set_title(f"covariance with x = {_CENTRE:g}" + ("" if labels is None else ", label 1"))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(9)
        axes.tick_params(labelsize=8)
    return figure


def _made(word: Word) -> Kernel:
    arguments = {}
    for parameter in word.entry.parameters:
        if parameter.per_label:
            # Two labels that follow the shared function, one against it.
            arguments[parameter.name] = (
                np.array([[1.0], [0.7], [-0.8]]) if "^" in parameter.space else np.full(3, 0.1)
            )
        elif isinstance(parameter.default, str):
            arguments[parameter.name] = _VALUES.get(parameter.default, 1.0)
        elif parameter.default is None:
            arguments[parameter.name] = _DEGREE
    kernel = word(**arguments)
    if word.entry.input == "label":
        return kernels.RBF(lengthscale=1.0).on(factor=0) * kernel.on(factor=1)
    return kernel


def _labels(word: Word) -> int | None:
    return 3 if word.entry.input == "label" else None


def _gram(kernel: Kernel, a: np.ndarray, b: np.ndarray, labels: int | None) -> np.ndarray:
    sides = [_side(points, labels) for points in (a, b)]
    return np.asarray(kernel.evaluate(*sides))


def _side(points: np.ndarray, labels: int | None) -> Side:
    if labels is None:
        return Side((jnp.asarray(points[:, None]),), None, False)
    codes = np.repeat(np.arange(labels), len(points))
    inputs = np.tile(points, labels)
    return Side((jnp.asarray(inputs[:, None]), jnp.asarray(codes)), None, False)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110)
    return buffer.getvalue()
