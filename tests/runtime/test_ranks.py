"""Ranks of uniform and of other draws: how often the tests and the band find them odd."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mercer.runtime.recovery.ranks import bins_of, ecdf_band, ecdf_counts, rank, strayed, uneven


def uniform(rows: int, simulations: int, kept: int) -> np.ndarray:
    return np.random.default_rng(rows).integers(0, kept + 1, (rows, simulations))


def test_a_truth_among_equals_gets_each_of_their_places() -> None:
    random = np.random.default_rng(0)
    truth, draws = np.full(4000, 1.0), np.tile([[0.0], [1.0], [1.0], [2.0]], (1, 4000))
    found = rank(truth, draws, random)
    counts = np.bincount(found, minlength=5)
    assert counts[[0, 4]].sum() == 0
    assert stats.chisquare(counts[1:4]).pvalue > 1e-4


@pytest.mark.parametrize(("simulations", "kept"), [(40, 7), (150, 19)])
def test_uniform_ranks_stay_in_the_band_as_often_as_it_says(simulations: int, kept: int) -> None:
    low, high = ecdf_band(simulations, kept, 0.9)
    rows = uniform(3000, simulations, kept)
    found = np.array([ecdf_counts(row, kept) for row in rows])
    inside = int(np.all((found >= low) & (found <= high), axis=1).sum())
    # Counts are whole, so the band holds a little more than it must: never less.
    assert stats.binomtest(inside, 3000, 0.9, alternative="less").pvalue > 1e-4
    assert inside / 3000 < 0.95


def test_a_band_of_one_point_is_that_of_a_binomial_count() -> None:
    (low,), (high,) = ecdf_band(60, 1, 0.95)
    law = stats.binom(60, 0.5)
    assert low == 60 - high
    assert law.cdf(high) - law.cdf(low - 1) >= 0.95 > law.cdf(high - 1) - law.cdf(low)


def test_the_chance_of_the_ecdf_is_at_most_a_level_as_often_as_that_says() -> None:
    chances = [strayed(row, 9) for row in uniform(1500, 60, 9)]
    for level in (0.02, 0.1, 0.5):
        below = int(np.sum(np.array(chances) <= level))
        assert stats.binomtest(below, 1500, level, alternative="greater").pvalue > 1e-4
    assert np.mean(np.array(chances) <= 0.5) > 0.4


def test_ranks_outside_the_band_are_those_of_a_small_chance() -> None:
    low, high = ecdf_band(60, 9, 0.9)
    for row in uniform(400, 60, 9):
        counts = ecdf_counts(row, 9)
        is_inside = bool(np.all((counts >= low) & (counts <= high)))
        assert is_inside == (strayed(row, 9) > 0.1 - 1e-9) or abs(strayed(row, 9) - 0.1) < 0.02


def test_narrow_wide_and_shifted_draws_are_found_out() -> None:
    random = np.random.default_rng(2)
    truth = random.normal(size=300)
    for draws in (
        0.6 * random.normal(size=(19, 300)),
        1.7 * random.normal(size=(19, 300)),
        0.5 + random.normal(size=(19, 300)),
    ):
        found = rank(truth, draws, random)
        assert uneven(found, 19) < 1e-4 and strayed(found, 19) < 1e-4
    right = rank(truth, random.normal(size=(19, 300)), random)
    assert uneven(right, 19) > 1e-4 and strayed(right, 19) > 1e-4


def test_bins_hold_equally_many_ranks_and_enough_simulations() -> None:
    assert bins_of(200, 19) == 20
    assert bins_of(60, 19) == 10
    assert bins_of(4, 19) == 1
    assert uneven(np.zeros(4, int), 19) == 1.0
