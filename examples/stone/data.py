"""A stone with bumps as a mesh, and a flow on it, measured at few places by an instrument that
hardly knows how fast the flow goes into the stone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import ConvexHull

CORNERS, MEASURED, HELD_OUT, NOISE, ACROSS = 1600, 90, 400, 0.08, 0.5


def stone() -> tuple[np.ndarray, np.ndarray]:
    """Corners [v, 3], evenly spread, and triangles [t, 3], all turned outwards."""
    number = np.arange(CORNERS) + 0.5
    height, turn = 1 - 2 * number / CORNERS, np.pi * (1 + 5**0.5) * number
    ring = np.sqrt(1 - height**2)
    ball = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    faces = ConvexHull(ball).simplices
    a, b, c = (ball[faces[:, k]] for k in range(3))
    inward = np.sum(np.cross(b - a, c - a) * a, axis=1) < 0
    faces[inward] = faces[inward][:, ::-1]
    x, y, z = ball.T
    bumps = 1 + 0.18 * np.sin(3 * x + 1) * np.cos(2 * y) + 0.15 * y * z
    return ball * bumps[:, None] * [1.3, 1.0, 0.8], faces


def normals(corners: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """At the corners, the mean of those of the triangles around."""
    a, b, c = (corners[faces[:, k]] for k in range(3))
    total = np.zeros(corners.shape)
    np.add.at(total, faces.ravel(), np.repeat(np.cross(b - a, c - a), 3, axis=0))
    return total / np.linalg.norm(total, axis=1, keepdims=True)


def flow(corners: np.ndarray, across: np.ndarray) -> np.ndarray:
    """A turn about an axis and a wind, as far as they are tangential, [v, 3]."""
    x, y, z = corners.T
    wind = np.stack([np.cos(2 * y), np.sin(2 * z), 0.5 * x], axis=1)
    whole = np.cross([0.3, 0.2, 1.0], corners) + 0.8 * wind
    return whole - np.sum(whole * across, axis=1)[:, None] * across


def farthest(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` points, each the farthest from those before it."""
    chosen, distance = [0], np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def write(folder: Path) -> None:
    """Writes `stone.obj`; `arrows.csv` (x.1 .. arrow.3), and `between.csv` from other corners."""
    corners, faces = stone()
    across = normals(corners, faces)
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in corners]
    lines += [f"f {a} {b} {c}" for a, b, c in faces + 1]
    (folder / "stone.obj").write_text("\n".join(lines) + "\n", encoding="utf-8")
    random, field = np.random.default_rng(5), flow(corners, across)
    coarse = farthest(corners, MEASURED)
    between = random.permutation(np.setdiff1d(np.arange(CORNERS), coarse))[:HELD_OUT]
    for name, own, depth in (("arrows", coarse, ACROSS), ("between", between, 0.0)):
        error = NOISE * random.normal(size=(len(own), 3))
        error -= np.sum(error * across[own], axis=1)[:, None] * across[own]
        error += depth * random.normal(size=(len(own), 1)) * across[own]
        values = {"x": corners[own], "arrow": field[own] + error}
        columns = {f"{c}.{k + 1}": a[:, k] for c, a in values.items() for k in range(3)}
        pd.DataFrame(columns).round(5).to_csv(folder / f"{name}.csv", index=False)
