"""A group and a seed into the elements at which a feature map is sampled, with their weights.

Factors are sampled independently: the rotation stratified over the circle, the strain uniformly
over a ball, by a low-discrepancy sequence. The weights are the density of the Haar measure over
that of the samples, made to add to 1.

Where the group has rotations, the samples come in orbits of the quarter turns: with h also r h,
r^2 h and r^3 h. A layer sampled so commutes with the quarter turns of the pixels exactly, however
few samples it has. Samples that turn by at most an angle are no orbits, and as many as asked for.
The same arguments always give the same samples.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.stats import qmc

from mercer.stdlib.groups.elements import Group, named

SPREAD = 0.25
"""How far the sampled strains reach, as a logarithm of a length: stretches by up to 28 %."""

QUARTERS = 4


class Sampled(NamedTuple):
    """`elements` [N, 2, 2], `weights` [N], whose sum is 1, and `group`."""

    group: Group
    elements: np.ndarray
    weights: np.ndarray

    @property
    def count(self) -> int:
        return len(self.weights)

    @property
    def determinants(self) -> np.ndarray:
        return np.linalg.det(self.elements)


def whole_orbits(group: Group, count: int, angle: float = math.pi) -> int:
    """The least number of samples, `count` or more, that are whole orbits of the quarter turns;
    `count` where the samples do not go around the circle."""
    return -(-count // QUARTERS) * QUARTERS if goes_around(group, angle) else count


def goes_around(group: Group, angle: float) -> bool:
    return group.rotates and angle >= math.pi


@lru_cache(maxsize=64)
def sampled(
    name: str, count: int, seed: int = 0, spread: float = SPREAD, angle: float = math.pi
) -> Sampled:
    """At least `count` samples of a group of the plane, a function of the arguments alone: those
    with strains of at most `spread` and rotations of at most `angle`.

    ValueError: a group of another degree, or a count below 1.
    """
    group = named(name)
    if group.degree != 2:
        raise ValueError(f"name: a group of the plane is wanted, got {name}")
    if count < 1:
        raise ValueError(f"count: at least 1 sample is wanted, got {count}")
    is_whole = goes_around(group, angle)
    orbits = whole_orbits(group, count, angle) // (QUARTERS if is_whole else 1)
    strains, weights = _strains(group, orbits, seed, spread)
    elements = _stretch(strains)
    if group.rotates:
        offsets = np.random.default_rng((seed, 1)).permutation(orbits)
        shift = np.random.default_rng((seed, 2)).uniform()
        if is_whole:
            angles = (offsets + shift) / orbits * (np.pi / 2)
        else:  # symmetric about 0
            angles = angle * (2.0 * (offsets + 0.5) / orbits - 1.0)
        elements = elements @ _rotation(angles)
    if is_whole:
        turn = np.array([[0, -1], [1, 0]])
        turns = np.array([np.linalg.matrix_power(turn, k) for k in range(QUARTERS)])
        # Exact in floating point: only signs and places of the entries change.
        elements = (turns[None] @ elements[:, None]).reshape(-1, 2, 2)
        weights = np.repeat(weights, QUARTERS)
    return Sampled(group, elements, weights / weights.sum())


def _strains(group: Group, count: int, seed: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Strains (a, b, c) [N, 3], uniform over a ball of the strains that the group has, and the
    density of the Haar measure at each."""
    found = np.zeros((count, 3))
    own = len(group.strains)
    if own:
        unit = halton(own, count, np.random.default_rng((seed, 3)))
        found[:, group.strains] = spread * in_ball(unit)
    rho = 2.0 * np.hypot(found[:, 1], found[:, 2])
    density = np.where(rho > 0, np.sinh(rho) / np.where(rho > 0, rho, 1.0), 1.0)
    return found, density


def halton(dimension: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Points of low discrepancy in the unit cube [N, d]: Halton's, shifted at random modulo 1."""
    points = qmc.Halton(dimension, scramble=False).random(count)
    return (points + random.uniform(size=dimension)) % 1.0


def in_ball(unit: np.ndarray) -> np.ndarray:
    """Points uniform in the unit cube [N, d] into points uniform in the unit ball, d <= 3."""
    d = unit.shape[1]
    if d == 1:
        return 2.0 * unit - 1.0
    radius, turn = unit[:, 0] ** (1.0 / d), 2.0 * np.pi * unit[:, 1]
    height = 2.0 * unit[:, 2] - 1.0 if d == 3 else np.zeros(len(unit))
    across = np.sqrt(1.0 - height**2)
    flat = [across * np.cos(turn), across * np.sin(turn)]
    return radius[:, None] * np.stack([height, *flat] if d == 3 else flat, axis=1)


def _stretch(strains: np.ndarray) -> np.ndarray:
    a, b, c = strains.T
    rho = np.hypot(b, c)
    along = np.where(rho > 0, np.sinh(rho) / np.where(rho > 0, rho, 1.0), 1.0)
    rows = [[np.cosh(rho) + along * b, along * c], [along * c, np.cosh(rho) - along * b]]
    return np.moveaxis(np.exp(a) * np.array(rows), -1, 0)


def _rotation(angles: np.ndarray) -> np.ndarray:
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.moveaxis(np.array([[cosine, -sine], [sine, cosine]]), -1, 0)
