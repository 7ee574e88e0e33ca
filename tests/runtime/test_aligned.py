"""Laws of alignment: components in any order, with any signs or rotations, come back in one."""

from __future__ import annotations

import numpy as np

from mercer.runtime.posterior.aligned import Part, aligned

RNG = np.random.default_rng(11)
SAMPLES, RANK = 40, 3


def noisy(truth: np.ndarray) -> np.ndarray:
    return truth + 0.05 * RNG.normal(size=(SAMPLES, *truth.shape))


def spread(part: Part) -> float:
    """How far draws are from their mean, at most."""
    return float(np.max(np.std(part.draws, axis=0)))


def shuffled(draws: list[np.ndarray]) -> list[np.ndarray]:
    """Each draw with its components in another order, and an even number of signs turned."""
    found = [d.copy() for d in draws]
    for s in range(SAMPLES):
        order = RNG.permutation(RANK)
        first, second = RNG.choice([-1.0, 1.0], size=(2, RANK))
        for d, sign in zip(found, (first, second, first * second), strict=True):
            d[s] = d[s][:, order] * sign
    return found


def test_components_come_back_in_one_order_and_their_product_is_what_it_was() -> None:
    sizes = (30, 20, 1)
    truth = [RNG.normal(size=(n, RANK)) for n in sizes]
    draws = shuffled([noisy(t) for t in truth])
    parts = {str(n): Part(d, ("r",)) for n, d in enumerate(draws)}
    assert min(spread(p) for p in parts.values()) > 0.3
    found = aligned(parts)
    assert max(spread(p) for p in found.values()) < 0.1
    rule = "sar,sbr,scr->sabc"
    np.testing.assert_allclose(
        np.einsum(rule, *(p.draws for p in found.values())), np.einsum(rule, *draws), atol=1e-12
    )


def test_rotated_modes_come_back_and_the_core_with_them() -> None:
    u, v = noisy(RNG.normal(size=(30, 2))), noisy(RNG.normal(size=(20, 3)))
    core = noisy(RNG.normal(size=(1, 2, 3)))
    for s in range(SAMPLES):
        q = np.linalg.qr(RNG.normal(size=(2, 2)))[0]
        r = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
        u[s], v[s], core[s] = u[s] @ q, v[s] @ r, q.T @ core[s] @ r
    parts = {"u": Part(u, ("i",)), "v": Part(v, ("j",)), "core": Part(core, ("i", "j"))}
    assert min(spread(p) for p in parts.values()) > 0.3
    found = aligned(parts)
    assert max(spread(p) for p in found.values()) < 0.12
    rule = "sai,sbj,szij->sab"
    np.testing.assert_allclose(
        np.einsum(rule, *(p.draws for p in found.values())),
        np.einsum(rule, u, v, core),
        atol=1e-12,
    )


def test_what_is_aligned_already_stays_close_to_its_first_draw() -> None:
    truth = [RNG.normal(size=(n, RANK)) * np.array([3.0, 2.0, 1.0]) for n in (30, 20)]
    parts = {str(n): Part(noisy(t), ("r",)) for n, t in enumerate(truth)}
    found = aligned(parts)
    for key, part in parts.items():
        np.testing.assert_array_equal(np.abs(found[key].draws), np.abs(part.draws))
