"""A function on a surface turned into a picture in space, and into a page that can be turned round.

A field is drawn as arrows over the surface, whose colour says how uncertain the field is there;
where it vanishes a mark has the index. A function of numbers is drawn as colour, beside its sd.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from scipy.spatial import KDTree

from mercer.runtime.geometry.mesh import Mesh
from mercer.runtime.geometry.singularities import Singularities, singularities
from mercer.runtime.pictures import style
from mercer.runtime.pictures.study import Study

_PLACES = 2000
"""Points at which a function on a surface is computed; others have the colour of the nearest."""
_ARROWS = 250
_DRAWS = 100


class Seen(NamedTuple):
    """A function at `places` [p, 3] of a shape: `mean` and `sd`, [p] or [p, 3]; all the points of
    the shape are among them where `is_whole`."""

    shape: Any
    places: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    is_whole: bool

    @property
    def is_field(self) -> bool:
        return self.mean.ndim == 2

    @property
    def uncertainty(self) -> np.ndarray:
        """The sd of a number, or of the length of a vector's error, [p]."""
        return np.sqrt(np.sum(self.sd**2, axis=1)) if self.is_field else self.sd

    def zeros(self) -> Singularities | None:
        """Where the mean of a field vanishes; None where it was not computed everywhere."""
        if not (self.is_field and self.is_whole):
            return None
        return singularities(self.shape, self.mean)

    def arrows(self) -> np.ndarray:
        """Which places get an arrow: evenly spread, each the farthest from those before."""
        return _spread_out(self.places, _ARROWS)


def seen(study: Study, key: str) -> Seen:
    """The function at the points of its shape, or at some by chance."""
    shape, column = study.shapes[key]
    points, is_whole = shape.points, len(shape.points) <= _PLACES
    if not is_whole:
        chosen = np.random.default_rng(0).choice(len(points), _PLACES, replace=False)
        points = points[np.sort(chosen)]
    values = study.fit.thinned(_DRAWS).at([key], {column: points})
    return Seen(shape, points, values.means[key], values.sds[key], is_whole)


def draw_surface(study: Study, key: str) -> Figure:
    """Arrows over the sd of a field; mean beside sd of a function of numbers."""
    found = seen(study, key)
    if found.is_field:
        made = style.figure(6.4, 5.2, f"Posterior: {study.titled(key)}")
        axes = made.add_subplot(projection="3d")
        _paint(made, axes, found, found.uncertainty, "sd", "Greys")
        _point(axes, found)
        return made
    made = style.figure(9.0, 4.2, f"Posterior: {study.titled(key)}")
    for place, (values, word, colours) in enumerate(
        ((found.mean, "mean", style.SEQUENTIAL), (found.sd, "sd", "Greys"))
    ):
        axes = made.add_subplot(1, 2, place + 1, projection="3d")
        _paint(made, axes, found, values, word, colours)
    return made


def page_of(study: Study, key: str) -> str | None:
    """The same as a page that can be turned round; None where plotly is not there to make it."""
    try:
        import plotly.graph_objects as graph
    except ImportError:
        return None
    found = seen(study, key)
    colour = found.uncertainty if found.is_field else found.mean
    word = "sd" if found.is_field else "mean"
    parts: list[Any] = []
    bar = {"title": word, "len": 0.6}
    if isinstance(found.shape, Mesh):
        points, faces = found.shape.vertices, found.shape.faces
        values = colour[KDTree(found.places).query(points)[1]]
        x, y, z = points.T
        i, j, k = faces.T
        parts.append(
            graph.Mesh3d(
                x=x, y=y, z=z, i=i, j=j, k=k, intensity=values, colorscale="Viridis", colorbar=bar
            )
        )
    else:
        x, y, z = found.places.T
        marker = {"size": 3, "color": colour, "colorscale": "Viridis", "colorbar": bar}
        parts.append(graph.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, name="cloud"))
    if found.is_field:
        chosen = found.arrows()
        (x, y, z), (u, v, w) = found.places[chosen].T, found.mean[chosen].T
        style_of = {"sizemode": "scaled", "sizeref": 1.2, "showscale": False, "anchor": "tail"}
        colours = [[0, "#222222"], [1, "#222222"]]
        cones = graph.Cone(x=x, y=y, z=z, u=u, v=v, w=w, colorscale=colours, **style_of)
        parts.append(cones)
        zeros = found.zeros()
        if zeros is not None and len(zeros.index):
            x, y, z = zeros.places.T
            parts.append(
                graph.Scatter3d(
                    x=x,
                    y=y,
                    z=z,
                    mode="markers+text",
                    text=[f"{i:+d}" for i in zeros.index],
                    marker={"size": 6, "color": [_hue(i) for i in zeros.index]},
                    name="singularities",
                )
            )
    made = graph.Figure(parts)
    made.update_layout(
        title=study.titled(key), scene={"aspectmode": "data"}, showlegend=False, template="none"
    )
    text: str = made.to_html(include_plotlyjs=True, full_html=True)
    return text


def _paint(
    made: Figure, axes: Any, found: Seen, values: np.ndarray, word: str, colours: str
) -> None:
    """The surface, or the cloud, in colours."""
    low, high = style.limits_of(values)
    scale = ScalarMappable(Normalize(low, high), colours)
    if isinstance(found.shape, Mesh):
        own = values[KDTree(found.places).query(found.shape.vertices)[1]]
        each = scale.to_rgba(own[found.shape.faces].mean(axis=1))
        surface = Poly3DCollection(found.shape.corners, facecolors=each, edgecolors=each, lw=0.3)
        # What is behind it is left out or pale: what is drawn of the rest lies in front.
        axes.computed_zorder = False
        axes.add_collection3d(surface)
    else:
        axes.scatter(*found.places.T, c=values, cmap=colours, vmin=low, vmax=high, s=12, lw=0)
    ends = found.shape.points
    centre, half = (ends.max(axis=0) + ends.min(axis=0)) / 2, np.ptp(ends, axis=0).max() / 2
    axes.set(**{f"{a}lim": (c - half, c + half) for a, c in zip("xyz", centre, strict=True)})
    axes.set_box_aspect((1, 1, 1), zoom=1.3)
    axes.set_axis_off()
    made.colorbar(scale, ax=axes, shrink=0.7, aspect=18, pad=0.02, label=word)


def _point(axes: Any, found: Seen) -> None:
    """Arrows, and marks where the field vanishes."""
    chosen = found.arrows()
    chosen = chosen[_is_seen(axes, found, found.places[chosen])]
    arrows, places = found.mean[chosen], found.places[chosen]
    longest = np.linalg.norm(arrows, axis=1).max() or 1.0
    size = np.ptp(found.shape.points, axis=0).max() / (1.6 * np.sqrt(len(chosen)) * longest)
    axes.quiver(
        *places.T, *(size * arrows).T, color=style.BLUE, lw=0.8, arrow_length_ratio=0.4, zorder=4
    )
    zeros = found.zeros()
    if zeros is None:
        return
    is_seen = _is_seen(axes, found, zeros.places)
    for place, index, front in zip(zeros.places, zeros.index, is_seen, strict=True):
        ink = {"color": _hue(index), "alpha": 1.0 if front else 0.35}
        axes.scatter(*place, s=40, depthshade=False, zorder=5, **ink)
        axes.text(*place, f" {index:+d}", fontsize=11, zorder=6, **ink)


def _is_seen(axes: Any, found: Seen, places: np.ndarray) -> np.ndarray:
    """Which places on a surface face the eye; all of a cloud."""
    if not isinstance(found.shape, Mesh) or not len(places):
        return np.ones(len(places), bool)
    up, around = np.radians(axes.elev), np.radians(axes.azim)
    to_eye = np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])
    normals = found.shape.normals[KDTree(found.shape.vertices).query(places)[1]]
    return normals @ to_eye > 0


def _hue(index: int) -> str:
    return style.ORANGE if index > 0 else style.GREEN


def _spread_out(points: np.ndarray, count: int) -> np.ndarray:
    """The places of `count` points, each the farthest from those before it."""
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)
