"""A fit and the settings of a picture turned into a figure: the kinds that examples share.

Each kind takes the fit, the folder with the data, and the settings of its `[[picture]]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from examples.grams import grams
from examples.modes import days, modes
from examples.moved import moved
from mercer.runtime.data.tables import read

INK, BAND, OTHER, DOT = "#1f3a5f", "#9db8d9", "#c0392b", "0.4"
COLOURS = ("#1f6fb2", "#d1812b", "#3a8f5c", "#8e4ea5", "#b23a48", "#6b6b6b", "#2aa3a3")

Settings = Mapping[str, Any]


def draw(fit: Any, folder: Path, settings: Settings) -> Figure:
    """The picture that `settings` ask for. ValueError where there is no such kind."""
    kind = settings["kind"]
    if kind not in KINDS:
        raise ValueError(f"kind: one of {', '.join(KINDS)} is wanted, got {kind!r}")
    return KINDS[kind](fit, folder, settings)


def forecast(fit: Any, folder: Path, settings: Settings) -> Figure:
    """The end of a record, its forecast with the 95 % band, and what was held out."""
    x, y = settings["x"], settings["y"]
    data, truth = _table(folder, settings["data"]), _table(folder, settings["held_out"])
    foretold = fit.predict(truth[[x]]).table()
    figure, axes = _figure(9, 4.5)
    recent = data[data[x] > data[x].max() - settings["before"]]
    axes.plot(recent[x], recent[y], ".", color="0.45", markersize=3, label="record")
    _band(axes, truth[x], foretold, y, "of the forecast")
    axes.plot(truth[x], truth[y], ".", color=OTHER, markersize=4, label="held out")
    axes.axvline(data[x].max(), color="0.6", lw=0.8, ls=":")
    axes.legend(frameon=False, loc="upper left")
    return _titled(figure, axes, settings)


def curves(fit: Any, folder: Path, settings: Settings) -> Figure:
    """An outcome over one input with its data; by `label` a panel each."""
    x, y, label = settings["x"], settings["y"], settings.get("label")
    data = _table(folder, settings["data"])
    names = [None] if label is None else list(dict.fromkeys(data[label]))
    figure, panels = _panels(len(names), settings)
    for axes, name in zip(panels, names, strict=True):
        own = data if label is None else data[data[label] == name]
        grid = pd.DataFrame({x: _grid(data[x], settings)})
        foretold = fit.predict(grid if label is None else grid.assign(**{label: name})).table()
        _band(axes, grid[x], foretold, y, "")
        axes.plot(own[x], own[y], ".", color=DOT, markersize=4)
        axes.set_title("" if name is None else str(name), fontsize=9)
    return _labelled(figure, panels, settings)


def functions(fit: Any, folder: Path, settings: Settings) -> Figure:
    """Functions of the model over their input, each with its 95 % band, and the truth if known."""
    names, x = settings["names"], settings["x"]
    data = _table(folder, settings["data"])
    inputs = {x: _grid(data[x], settings)}
    figure, panels = _panels(len(names), settings)
    for axes, name in zip(panels, names, strict=True):
        part = fit.component(name, inputs)
        word = next(key for key in part.means if key.startswith((f"{name}(", f"{name}[")))
        _interval(axes, inputs[x], part, word, settings)
        if "truth" in settings:
            truth = _table(folder, settings["truth"])
            axes.plot(truth[x], truth["value"], color=OTHER, lw=1.2, ls="--", label="truth")
            axes.legend(frameon=False, fontsize=8)
        if "measured" in settings:
            axes.plot(data[x], data[settings["measured"]], ".", color=DOT, markersize=7)
        if "until" in settings:
            axes.axvline(settings["until"], color="0.6", lw=0.8, ls=":")
        if len(names) > 1:
            axes.set_title(name, fontsize=9)
    return _labelled(figure, panels, settings)


def coordinates(fit: Any, folder: Path, settings: Settings) -> Figure:
    """One function for each coordinate of an input (`sum(f(x), d)`), over that coordinate."""
    name, columns = settings["name"], settings["columns"]
    data, x = _table(folder, settings["data"]), settings["x"]
    grid = pd.DataFrame({column: _grid(data[column], settings) for column in columns})
    part = fit.component(name, read(grid, columns={x: columns}))
    (word,) = part.means
    figure, panels = _panels(len(columns), settings)
    for place, (axes, column) in enumerate(zip(panels, columns, strict=True)):
        factor = settings["units"][place]
        _interval(axes, grid[column] * factor, part, word, settings, (slice(None), place))
        axes.plot(data[column] * factor, np.zeros(len(data)), "|", color="0.5", markersize=5)
        axes.set_xlabel(settings["labels"][place], fontsize=9)
    return _labelled(figure, panels, {**settings, "xlabel": ""})


def forest(fit: Any, folder: Path, settings: Settings) -> Figure:
    """Entries of a labelled unknown with 50 % and 95 % intervals; raw estimates beside them."""
    values = fit.idata["posterior"][settings["name"]]
    dim = values.dims[-1]
    draws = values.values.reshape(-1, values.shape[-1])
    labels = [str(label) for label in values[dim].values]
    figure, axes = _figure(7, 1.4 + 0.36 * len(labels))
    places = np.arange(len(labels))[::-1].astype(float)
    for low, high, width in ((0.025, 0.975, 1.5), (0.25, 0.75, 4.5)):
        axes.hlines(places, *np.quantile(draws, (low, high), axis=0), color=INK, lw=width)
    axes.plot(draws.mean(0), places, "o", color="white", mec=INK, ms=5, label="posterior")
    if "raw" in settings:
        data = _table(folder, settings["data"]).set_index(dim).loc[labels]
        error = 1.96 * data[settings["error"]]
        axes.errorbar(
            data[settings["raw"]], places - 0.28, xerr=error, fmt="s", ms=3, color=OTHER, lw=0.8,
            label="each alone",
        )  # fmt: skip
    axes.set_yticks(places, labels)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return _titled(figure, axes, settings)


def classes(fit: Any, folder: Path, settings: Settings) -> Figure:
    """Where in a plane which label is the most likely one, and how sure that is."""
    x, y, label = settings["x"], settings["y"], settings["label"]
    data, truth = _table(folder, settings["data"]), _table(folder, settings["held_out"])
    ends = [np.linspace(*_ends(pd.concat([data[c], truth[c]])), settings["count"]) for c in (x, y)]
    across, up = np.meshgrid(*ends)
    points = pd.DataFrame({x: across.ravel(), y: up.ravel()})
    inputs = read(points, columns={settings["input"]: [x, y]})
    shares = fit.predict(inputs).probabilities[label]
    names = [str(n) for n in fit.bound.labels[settings["index"]]]
    figure, axes = _figure(7, 5)
    for place, name in enumerate(names):
        share = shares[:, place].reshape(across.shape)
        colour = COLOURS[place]
        levels = (0.5, 0.7, 0.9, 1.0)
        for level in levels[:-1]:
            axes.contourf(across, up, share, (level, 1.001), colors=[colour], alpha=0.18)
        for table, marker, size in ((data, "o", 34), (truth, "x", 22)):
            own = table[table[label] == name]
            axes.scatter(own[x], own[y], c=colour, marker=marker, s=size, lw=1.1, label=name)
    handles, words = axes.get_legend_handles_labels()
    axes.legend(handles[::2], words[::2], frameon=False, loc="upper left")
    return _titled(figure, axes, settings)


def grades(fit: Any, folder: Path, settings: Settings) -> Figure:
    """Probabilities of ordered answers, stacked, over one input, the others held."""
    x, label = settings["x"], settings["label"]
    grid = _grid(_table(folder, settings["data"])[x], settings)
    inputs = {x: grid, **{k: np.full(grid.shape, v) for k, v in settings["held"].items()}}
    shares = fit.predict(inputs).probabilities[label]
    names = [str(n) for n in fit.bound.labels[settings["index"]]]
    figure, axes = _figure(7.5, 4.5)
    from matplotlib import colormaps

    colours = colormaps["RdBu_r"](np.linspace(0.1, 0.9, len(names)))
    stacked = axes.stackplot(grid, shares.T, colors=colours, labels=names)
    axes.set(xlim=(grid[0], grid[-1]), ylim=(0, 1))
    axes.legend(
        stacked[::-1], names[::-1], frameon=False, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    return _titled(figure, axes, settings)


def arrows(fit: Any, folder: Path, settings: Settings) -> Figure:
    """A field of velocities: measured, found on a grid, and there the truth."""
    data, truth = _table(folder, settings["data"]), _table(folder, settings["truth"])
    x, y, u, v = (settings[k] for k in ("x", "y", "u", "v"))
    found = fit.predict(truth[[x, y]]).means
    spread = np.hypot(*(fit.predict(truth[[x, y]]).sds[k] for k in (u, v)))
    shape = (truth[y].nunique(), truth[x].nunique())
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    grid = [truth[c].to_numpy().reshape(shape) for c in (x, y)]
    shade = left.pcolormesh(*grid, spread.reshape(shape), cmap="Blues", shading="gouraud")
    figure.colorbar(shade, ax=left, label="sd of a new measurement", shrink=0.8)
    options = {"angles": "xy", "scale_units": "xy", "scale": settings["scale"], "width": 0.003}
    left.quiver(data[x], data[y], data[u], data[v], color=OTHER, **options)
    right.quiver(truth[x], truth[y], truth[u], truth[v], color="0.7", **options)
    right.quiver(truth[x], truth[y], found[u], found[v], color=INK, **options)
    left.set_title("measured (red)", fontsize=10)
    right.set_title("found (blue) over the truth (grey)", fontsize=10)
    for axes in (left, right):
        axes.set(xlabel=settings["xlabel"], ylabel=settings["ylabel"], aspect="equal")
    figure.suptitle(settings["title"])
    return figure


def surface(fit: Any, folder: Path, settings: Settings) -> Figure:
    """A function over its surface, as `fit.plot` draws it."""
    from mercer.runtime.pictures import style, surfaces
    from mercer.runtime.pictures.study import Study

    with style.style():
        figure = surfaces.draw_surface(Study(fit), settings["value"])
    figure.suptitle(settings["title"])
    return figure


def network(fit: Any, folder: Path, settings: Settings) -> Figure:
    """A graph, its nodes in the colour of a probability; the truth is the colour of their rims."""
    import networkx as nx

    node, y = settings["node"], settings["y"]
    known, others = (_table(folder, settings[k]) for k in ("known", "others"))
    graph = nx.from_edgelist(_table(folder, settings["ties"]).astype(str).to_numpy().tolist())
    sides = pd.concat([known, others], ignore_index=True).astype({node: str})
    share = dict(
        zip(sides[node], fit.predict({node: sides[node].to_numpy()}).means[y], strict=True)
    )
    truth, places = dict(zip(sides[node], sides[y], strict=True)), nx.spring_layout(graph, seed=4)
    figure, axes = _figure(8, 6)
    nx.draw_networkx_edges(graph, places, ax=axes, edge_color="0.8")
    for shape, own in (("s", set(known[node].astype(str))), ("o", set(others[node].astype(str)))):
        names = [name for name in graph if name in own]
        drawn = nx.draw_networkx_nodes(
            graph, places, names, ax=axes, node_shape=shape, node_size=330, cmap="RdBu", vmin=0,
            vmax=1, node_color=[share[n] for n in names], linewidths=2.0,
            edgecolors=["#2166ac" if truth[n] else "#b2182b" for n in names],
        )  # fmt: skip
    nx.draw_networkx_labels(graph, places, ax=axes, font_size=7)
    figure.colorbar(drawn, ax=axes, shrink=0.7, label=f"probability of {y}")
    axes.set_axis_off()
    return _titled(figure, axes, settings)


KINDS: dict[str, Callable[[Any, Path, Settings], Figure]] = {
    kind.__name__: kind
    for kind in (
        forecast,
        curves,
        functions,
        coordinates,
        forest,
        classes,
        grades,
        arrows,
        surface,
        network,
        modes,
        days,
        grams,
        moved,
    )
}


def _table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name)


def _ends(values: pd.Series, margin: float = 0.06) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return low - margin * (high - low), high + margin * (high - low)


def _grid(values: pd.Series, settings: Settings) -> np.ndarray:
    low, high = settings.get("range", (float(values.min()), float(values.max())))
    return np.linspace(low, high, settings.get("count", 120))


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _panels(count: int, settings: Settings) -> tuple[Figure, list[Any]]:
    columns = min(settings.get("across", 4), count)
    rows = -(-count // columns)
    width, height = settings.get("size", (2.6, 2.1) if count > 1 else (7.5, 4.2))
    figure = Figure(figsize=(width * columns, height * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    shared = settings.get("shared", "all")
    grid = figure.subplots(
        rows, columns, squeeze=False, sharex=shared in ("all", "x"), sharey=shared in ("all", "y")
    )
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return figure, list(grid.flat[:count])


def _band(axes: Any, x: Any, table: pd.DataFrame, y: str, what: str) -> None:
    low, high = table[f"{y}.q2.5"], table[f"{y}.q97.5"]
    of = f" {what}" if what else ""
    axes.fill_between(x, low, high, color=BAND, alpha=0.7, lw=0, label=f"95 %{of}")
    axes.plot(x, table[f"{y}.mean"], color=INK, lw=1.2, label=f"mean{of}")


def _interval(
    axes: Any, x: Any, part: Any, word: str, settings: Settings, place: Any = ...
) -> None:
    """Mean and 95 % band of a function; `centred`: of each draw less its mean over the panel."""
    if settings.get("centred"):
        draws = part.draws[word].values
        draws = draws.reshape(-1, *draws.shape[2:])
        draws = draws if place is ... else draws[(slice(None), *place)]
        draws = draws - draws.mean(axis=1, keepdims=True)
        mean, (low, high) = draws.mean(axis=0), np.quantile(draws, (0.025, 0.975), axis=0)
    else:
        mean = part.means[word][place]
        low, high = (part.quantile(word, level)[place] for level in (0.025, 0.975))
    axes.fill_between(x, low, high, color=BAND, alpha=0.7, lw=0)
    axes.plot(x, mean, color=INK, lw=1.2)


def _titled(figure: Figure, axes: Any, settings: Settings) -> Figure:
    axes.set(xlabel=settings.get("xlabel", ""), ylabel=settings.get("ylabel", ""))
    axes.set_title(settings["title"])
    return figure


def _labelled(figure: Figure, panels: list[Any], settings: Settings) -> Figure:
    figure.suptitle(settings["title"])
    if settings.get("xlabel"):
        figure.supxlabel(settings["xlabel"], fontsize=10)
    figure.supylabel(settings.get("ylabel", ""), fontsize=10)
    return figure
