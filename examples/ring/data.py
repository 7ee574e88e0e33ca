"""A ring with four bulges as a mesh, and a field on it, measured but for a quarter of the ring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

AROUND, ACROSS, MEASURED, NOISE = 72, 28, 160, 0.1


def surface(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Points at the angles u along the ring and v around its tube, [n, 3]."""
    tube = 0.35 * (1 + 0.3 * np.cos(4 * u))
    out = 1 + tube * np.cos(v)
    return np.stack([out * np.cos(u), out * np.sin(u), tube * np.sin(v)], axis=1)


def field(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A flow along the ring that winds around its tube, faster where the tube is thin, [n, 3]."""
    step = 1e-6
    along = (surface(u + step, v) - surface(u - step, v)) / (2 * step)
    around = (surface(u, v + step) - surface(u, v - step)) / (2 * step)
    around /= np.linalg.norm(around, axis=1)[:, None]
    along /= np.linalg.norm(along, axis=1)[:, None]
    return (1 - 0.4 * np.cos(4 * u))[:, None] * along + (0.8 * np.sin(u + v))[:, None] * around


def write(folder: Path) -> None:
    """Writes `ring.obj`; `arrows.csv` (x.1 .. arrow.3), and `hidden.csv` from where none were."""
    grid = np.meshgrid(np.arange(AROUND), np.arange(ACROSS), indexing="ij")
    u, v = (2 * np.pi * g.ravel() / n for g, n in zip(grid, (AROUND, ACROSS), strict=True))
    cell = np.arange(AROUND * ACROSS).reshape(AROUND, ACROSS)
    right, up, both = np.roll(cell, -1, 0), np.roll(cell, -1, 1), np.roll(cell, (-1, -1), (0, 1))
    faces = np.concatenate(
        [np.stack(c, axis=-1).reshape(-1, 3) for c in ((cell, right, both), (cell, both, up))]
    )
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in surface(u, v)]
    lines += [f"f {a} {b} {c}" for a, b, c in faces + 1]
    (folder / "ring.obj").write_text("\n".join(lines) + "\n", encoding="utf-8")
    random = np.random.default_rng(5)
    u, v = random.uniform(0, 2 * np.pi, (2, 2 * MEASURED))
    is_hidden = np.abs(u - np.pi) < np.pi / 4
    for name, own in (("arrows", np.flatnonzero(~is_hidden)[:MEASURED]), ("hidden", is_hidden)):
        x, arrow = surface(u[own], v[own]), field(u[own], v[own])
        arrow = arrow + NOISE * random.normal(size=arrow.shape)
        columns = {
            f"{c}.{k + 1}": a[:, k] for c, a in (("x", x), ("arrow", arrow)) for k in range(3)
        }
        pd.DataFrame(columns).round(5).to_csv(folder / f"{name}.csv", index=False)
