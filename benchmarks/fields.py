"""Vector fields on clouds of points: reconstruction on a mesh's vertices, and growth on a torus.

    python benchmarks/fields.py bunny PATH.obj [--seeds 5] [--time 100 1]
    python benchmarks/fields.py torus [1000 2000 10000 100000]
    python benchmarks/fields.py hole [PATH.obj] [--seeds 3]

`bunny`: 308 vertices by farthest points; the field is noise that diffused for a time by the random
walk of the connection Laplacian, measured at 119 of them with noise of 1 % of its size. Cosine and
error are those of the field at the other 189; intervals are those of a new measurement there, noise
included. `torus`: an analytic field, measured at 40 % of the points with noise of 5 %; cosine at
the others. `hole`: a field on a sphere, or on 600 vertices of a mesh, of which the surroundings of
one zero are not measured, and what became of its singularities. Fits are MAP, with 100 draws. For
`torus` nothing is kept from one call to the next: programs and waves go to a folder of its own.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

FIELD = """
data cloud[m] : Real^3
data x[n], arrow[n] : Real^3
M = Manifold(cloud, dim = 2, modes = {modes})
field : M -> Tangent(M) ~ GP(Matern32())
noise ~ HalfNormal(1)
arrow ~ Normal(field(x), noise)
"""
COORDINATES = """
data x[n] : Real^d
data arrow[n] : Real^3
field : Real^d -> Real^3 ~ GP(RBF())
noise ~ HalfNormal(1)
arrow ~ Normal(field(x), noise)
"""


def farthest(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` points, each the farthest from those before it."""
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def vertices(path: Path) -> np.ndarray:
    """The vertices of an OBJ file, in units of the largest side of their box."""
    rows = [line.split()[1:4] for line in path.read_text().splitlines() if line[:2] == "v "]
    points = np.array(rows, float)
    return (points - points.mean(axis=0)) / np.ptp(points, axis=0).max()


def walks(cloud: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """The shape of a cloud, and of the random walk of its connection Laplacian L the root of the
    diagonal D^-1/2 and the eigenpairs of D^-1/2 L D^-1/2."""
    from mercer.runtime.geometry.manifold import Manifold

    shape = Manifold(cloud, dim=2, neighbours=10, modes=10, name="cloud")
    laplacian = shape.connection_laplacian().toarray()
    root = 1 / np.sqrt(np.diag(laplacian))
    values, vectors = np.linalg.eigh(root[:, None] * laplacian * root)
    return shape, root, values, vectors


def by_its_law(
    cloud: np.ndarray, duration: float, train: np.ndarray, arrows: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of new measurements by the law that `diffused` draws from and the true noise,
    only its scale being found by maximum likelihood: on average no method can do better."""
    shape, root, values, vectors = walks(cloud)
    spread = (root[:, None] * vectors * np.exp(-duration * values)) @ (vectors.T / root)
    covariance = spread @ spread.T
    covariance *= cloud.size / np.trace(covariance)
    known, new = ((2 * rows[:, None] + np.arange(2)).ravel() for rows in (train, test))
    inside = np.einsum("nDi,nD->ni", shape.frames[train], arrows).ravel()
    eigenvalues, axes = np.linalg.eigh(covariance[np.ix_(known, known)])
    along = axes.T @ inside
    scales = np.exp(np.linspace(-2, 2, 81))
    sizes = scales[:, None] * eigenvalues + 0.01**2
    best = np.argmin(np.sum(along**2 / sizes + np.log(sizes), axis=1))
    cross = scales[best] * covariance[np.ix_(new, known)] @ axes
    mean = np.einsum(
        "nDi,ni->nD", shape.frames[test], (cross @ (along / sizes[best])).reshape(-1, 2)
    )
    prior = scales[best] * covariance[np.ix_(new, new)].reshape(len(test), 2, len(test), 2)
    gain = ((cross / sizes[best]) @ cross.T).reshape(prior.shape)
    rows = np.arange(len(test))
    left = (prior - gain)[rows, :, rows, :]
    frames = shape.frames[test]
    variance = np.einsum("nDi,nij,nDj->nD", frames, left, frames)
    return mean, np.sqrt(variance + 0.01**2)


def diffused(cloud: np.ndarray, duration: float, seed: int) -> tuple[np.ndarray, float]:
    """A tangential field of mean square 1, and the share of its energy in the lowest wave."""
    shape, root, values, vectors = walks(cloud)
    noise = np.random.default_rng(seed).normal(size=cloud.shape)
    start = np.einsum("nDi,nD->ni", shape.frames, noise).ravel() / root
    weights = np.exp(-duration * values) * (vectors.T @ start)
    inside = (root * (vectors @ weights)).reshape(len(cloud), 2)
    field = np.einsum("nDi,ni->nD", shape.frames, inside)
    share = float(weights[0] ** 2 / np.sum(weights**2))
    return field / np.sqrt(np.mean(field**2)), share


def scores(
    mean: np.ndarray, sd: np.ndarray, truth: np.ndarray, noise: float = 0.0
) -> tuple[float, float, float]:
    """Mean cosine and error of the field, and how often an interval covers a new measurement."""
    measured = truth + noise * np.random.default_rng(300).normal(size=truth.shape)
    cosine = np.sum(mean * truth, axis=1)
    cosine /= np.linalg.norm(mean, axis=1) * np.linalg.norm(truth, axis=1)
    error = np.sqrt(np.mean((mean - truth) ** 2))
    return float(np.mean(cosine)), float(error), float(np.mean(np.abs(mean - measured) < 1.96 * sd))


def predicted(text: str, data: dict[str, np.ndarray], new: np.ndarray, seed: int):
    import mercer

    begin = time.perf_counter()
    settings = {"infer": "map", "chains": 1, "draws": 100, "seed": seed, "progress": False}
    fit = mercer.compile(text).fit(data, **settings)
    seconds = time.perf_counter() - begin
    found = fit.predict({"x": new})
    return found.means["arrow"], found.sds["arrow"], seconds


def bunny(path: Path, seeds: int, durations: list[float]) -> None:
    from mercer.runtime.geometry.manifold import Manifold

    points = vertices(path)
    cloud = points[farthest(points, 308)]
    print(
        "| diffusion time | method | cosine | RMSE | 95 % interval covers | lowest wave's share |"
    )
    print("|---|---|---|---|---|---|")
    for duration in durations:
        rows: dict[str, list[tuple[float, float, float]]] = {}
        shares = []
        for seed in range(seeds):
            field, share = diffused(cloud, duration, seed)
            shares.append(share)
            order = np.random.default_rng(100 + seed).permutation(308)
            train, test = order[:119], order[119:]
            noise = 0.01 * np.random.default_rng(200 + seed).normal(size=(119, 3))
            data = {"cloud": cloud, "x": cloud[train], "arrow": field[train] + noise}
            mean, sd, _ = predicted(FIELD.format(modes=100), data, cloud[test], seed)
            found = scores(mean, sd, field[test], 0.01)
            rows.setdefault("field on a manifold", []).append(found)
            mean, sd = by_its_law(cloud, duration, train, data["arrow"], test)
            found = scores(mean, sd, field[test], 0.01)
            rows.setdefault("by the law of the field", []).append(found)
            del data["cloud"]
            waves = Manifold(cloud, dim=2, neighbours=10, modes=11, name="M").numbers.values[:, 1:]
            for name, places in (("RBF on coordinates", cloud), ("RBF on 10 waves", waves)):
                data["x"] = places[train]
                mean, sd, _ = predicted(COORDINATES, data, places[test], seed)
                rows.setdefault(name, []).append(scores(mean, sd, field[test], 0.01))
            distance = np.linalg.norm(cloud[test][:, None] - cloud[train], axis=2)
            nearest = np.argsort(distance, axis=1)
            for name, count in (("nearest neighbour", 1), ("mean of four neighbours", 4)):
                near = data["arrow"][nearest[:, :count]].mean(axis=1)
                found = scores(near, np.full(near.shape, np.nan), field[test])
                rows.setdefault(name, []).append(found)
            told = ", ".join(f"{name} {found[-1][0]:.4f}" for name, found in rows.items())
            print(f"time {duration:g}, seed {seed}: {told}", file=sys.stderr, flush=True)
        for name, found in rows.items():
            cosine, error, cover = np.mean(found, axis=0)
            covers = "" if name.endswith(("neighbour", "neighbours")) else f"{cover:.3f}"
            said = f"{cosine:.4f} | {error:.4f} | {covers} | {np.mean(shares):.2f} |"
            print(f"| {duration:g} | {name} | {said}", flush=True)


def on_torus(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of even density on a torus, and a tangential field there."""
    random = np.random.default_rng(seed)
    large, small = 1.0, 0.4
    v = random.uniform(0, 2 * np.pi, 4 * count)
    v = v[random.uniform(size=len(v)) < (large + small * np.cos(v)) / (large + small)][:count]
    u = random.uniform(0, 2 * np.pi, count)
    ring = large + small * np.cos(v)
    points = np.stack([ring * np.cos(u), ring * np.sin(u), small * np.sin(v)], axis=1)
    along = np.stack([-np.sin(u), np.cos(u), 0 * u], axis=1)
    around = np.stack([-np.sin(v) * np.cos(u), -np.sin(v) * np.sin(u), np.cos(v)], axis=1)
    return points, (1 + 0.5 * np.sin(v))[:, None] * along + np.cos(2 * u)[:, None] * around


def torus(counts: list[int]) -> None:
    """The whole pipeline on clouds of several sizes, each twice: with nothing kept from before, and
    on another cloud of the same size, for which programs need not be compiled again."""
    from mercer.runtime.geometry.manifold import manifold

    imports()
    head = "n | | waves s | fit s | prediction s | in all s | of a processor s | cosine | RMSE |"
    print(f"| {head} 95 % interval covers |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    spent: dict[tuple[int, str], float] = {}
    for count in counts:
        for seed, said in enumerate(("first", "again")):
            cloud, field = on_torus(count, seed)
            order = np.random.default_rng(1).permutation(count)
            train, test = order[: int(0.4 * count)], order[int(0.4 * count) :]
            noise = 0.05 * np.random.default_rng(2).normal(size=(len(train), 3))
            data = {"cloud": cloud, "x": cloud[train], "arrow": field[train] + noise}
            begin, busy = time.perf_counter(), time.process_time()
            _ = manifold(cloud, dim=2, modes=100, name="M").tangents
            waves = time.perf_counter() - begin
            mean, sd, fitted = predicted(FIELD.format(modes=100), data, cloud[test], 0)
            all_of_it = time.perf_counter() - begin
            spent[count, said] = time.process_time() - busy
            cosine, error, cover = scores(mean, sd, field[test], 0.05)
            times = f"{waves:.1f} | {fitted:.1f} | {all_of_it - waves - fitted:.1f} | "
            times += f"{all_of_it:.1f} | {spent[count, said]:.1f}"
            quality = f"{cosine:.4f} | {error:.4f} | {cover:.3f}"
            print(f"| {count} | {said} | {times} | {quality} |", flush=True)
    few, many = min(n for n in counts if n >= 2000), max(counts)
    if few < many:
        for said in ("first", "again"):
            rise = np.log(spent[many, said] / spent[few, said]) / np.log(many / few)
            print(f"growth of processor time from {few} to {many}, {said}: n^{rise:.2f}")


def imports() -> None:
    """What a process loads once, whatever it fits."""
    for name in ("arviz", "mercer.inference"):
        importlib.import_module(name)


def hole(seeds: int, path: Path | None) -> None:
    """Fields of which the surroundings of one zero are not measured, and what became of it."""
    from mercer.runtime.geometry.manifold import manifold
    from mercer.runtime.geometry.singularities import singularities

    print("| field | points left out | singularities | found | indices | indices found | cosine |")
    print("|---|---|---|---|---|---|---|")
    for seed in range(seeds):
        for name, cloud, field, outside in _with_holes(seed, path):
            noise = 0.02 * np.random.default_rng(100 + seed).normal(size=(len(outside), 3))
            data = {"cloud": cloud, "x": cloud[outside], "arrow": field[outside] + noise}
            mean, sd, _ = predicted(FIELD.format(modes=100), data, cloud, seed)
            shape = manifold(cloud, dim=2, modes=100, name="M")
            inside = np.einsum("nDi,nEi,nE->nD", shape.frames, shape.frames, mean)
            true, found = (singularities(shape, v).index for v in (field, inside))
            left = np.setdiff1d(np.arange(len(cloud)), outside)
            cosine = scores(mean[left], sd[left], field[left])[0]
            words = f"{len(left)} | {len(true)} | {len(found)} | {true.sum()} | {found.sum()}"
            print(f"| {name} | {words} | {cosine:.4f} |", flush=True)


def _with_holes(seed: int, path: Path | None):
    """Names, clouds, fields, and the points that are measured. A rotation and a gradient with
    saddles on a sphere; on vertices of a mesh, noise that diffused until few zeros were left."""
    from mercer.runtime.geometry.manifold import manifold
    from mercer.runtime.geometry.singularities import singularities

    if path is not None:
        points = vertices(path)
        cloud = points[farthest(points, 600)]
        field, _ = diffused(cloud, 400.0, seed)
        shape = manifold(cloud, dim=2, modes=100, name="M")
        zero = singularities(shape, field).places[0]
        distance = np.linalg.norm(cloud - zero, axis=1)
        yield "diffused noise", cloud, field, np.flatnonzero(distance > 0.12)
        return
    cloud = np.random.default_rng(seed).normal(size=(800, 3))
    cloud /= np.linalg.norm(cloud, axis=1)[:, None]
    around = np.stack([cloud[:, 1] * cloud[:, 2], cloud[:, 0] * cloud[:, 2], 0 * cloud[:, 0]])
    slope = around.T + np.array([0, 0, 1.0]) * (cloud[:, 0] * cloud[:, 1])[:, None]
    slope -= np.sum(slope * cloud, axis=1)[:, None] * cloud
    turning = np.cross([0, 0, 1.0], cloud)
    for name, field, zero in (
        ("rotation", turning, np.array([0, 0, 1.0])),
        ("saddles", slope + 0.1 * turning, np.ones(3) / np.sqrt(3)),
    ):
        yield name, cloud, field, np.flatnonzero(cloud @ zero < np.cos(0.5))


def main() -> None:
    parser = argparse.ArgumentParser()
    what = parser.add_subparsers(dest="what", required=True)
    mesh = what.add_parser("bunny")
    mesh.add_argument("path", type=Path)
    mesh.add_argument("--seeds", type=int, default=5)
    mesh.add_argument("--time", type=float, nargs="+", default=[100.0, 1.0])
    ring = what.add_parser("torus")
    ring.add_argument("counts", type=int, nargs="*", default=[1000, 2000, 10000])
    cap = what.add_parser("hole")
    cap.add_argument("path", type=Path, nargs="?")
    cap.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    if asked.what == "bunny":
        bunny(asked.path, asked.seeds, asked.time)
    elif asked.what == "hole":
        hole(asked.seeds, asked.path)
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MERCER_CACHE_DIR"] = folder
            torus(asked.counts)


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main()
