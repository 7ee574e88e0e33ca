"""Truths and draws of many simulations turned into a verdict: are the ranks uniform?

The rule: each quantity is tested twice, by the chi-square of its histogram and by its ECDF, which
finds other deviations. The calibration has failed where any of all these chances, multiplied by
their number, falls below `false_alarm` (Bonferroni: so a right model fails with that probability at
most), or where more than a tenth of the simulated data sets could not be fitted. To leave those
out does not disturb the others: whether data can be fitted depends on the data alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.whole import replace_whole
from mercer.runtime.files import write_csv
from mercer.runtime.recovery import ranks
from mercer.runtime.recovery.replicate import Replicate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_UNFITTED = 0.1
"""Share of the simulations that may end without a fit."""
_DEPENDENT = 0.1
"""Correlation of neighbouring ranked draws from which on they do not count as independent."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Truths [simulation, quantity] and draws [simulation, quantity, draw] of a model.

    `numbers` are those of the simulations. `unfitted`: why some gave nothing, by number.
    `diverged` counts the draws that did, over all simulations. `key` says of what model, data and
    settings this is the calibration.
    """

    quantities: tuple[str, ...]
    numbers: tuple[int, ...]
    truths: np.ndarray
    draws: np.ndarray
    unfitted: Mapping[int, str]
    diverged: int = 0
    false_alarm: float = 0.01
    key: str = ""

    @classmethod
    def of(
        cls, replicates: Mapping[int, Replicate], unfitted: Mapping[int, str], **rest: Any
    ) -> Calibration:
        """The calibration that replicates by number make; quantities that never vary are not."""
        numbers = tuple(sorted(replicates))
        first = replicates[numbers[0]] if numbers else Replicate({}, {})
        names = tuple(
            name for name in first.truth if any(_varies(replicates[n].draws[name]) for n in numbers)
        )
        truths = [[replicates[n].truth[k] for k in names] for n in numbers]
        draws = [[replicates[n].draws[k] for k in names] for n in numbers]
        diverged = sum(replicates[n].diverged for n in numbers)
        return cls(
            names, numbers, np.array(truths), np.array(draws), dict(unfitted), diverged, **rest
        )

    @property
    def kept(self) -> int:
        """Draws that each truth is ranked among."""
        return self.draws.shape[-1]

    @cached_property
    def ranks(self) -> np.ndarray:
        """0 to `kept`, [simulation, quantity]."""
        random = np.random.default_rng(len(self.numbers))
        return ranks.rank(self.truths, np.moveaxis(self.draws, -1, 0), random)

    @cached_property
    def chances(self) -> np.ndarray:
        """Chances of ranks at least so odd, were they uniform, [quantity, 2]: chi-square, ECDF."""
        columns = self.ranks.T
        return np.array([[test(c, self.kept) for test in _TESTS.values()] for c in columns])

    @property
    def least_chance(self) -> float:
        """The chance below which a single test is a failure."""
        return self.false_alarm / max(1, self.chances.size)

    @property
    def failed(self) -> tuple[str, ...]:
        """The quantities whose ranks are not uniform."""
        least = self.chances.min(axis=1, initial=1.0).tolist() if self.quantities else []
        pairs = zip(self.quantities, least, strict=True)
        return tuple(name for name, chance in pairs if chance < self.least_chance)

    @property
    def is_right(self) -> bool:
        """Whether nothing speaks against model, simulator, program and inference meaning the same.

        See the rule at the top of this module.
        """
        return bool(self.quantities) and not self.failed and self._unfitted_share <= MOST_UNFITTED

    def table(self) -> Any:
        """A pandas table, a row a quantity: chances, and how often intervals held the truth."""
        import pandas as pd

        shares = (self.ranks + 0.5) / (self.kept + 1)
        rows = {
            **{name: self.chances[:, i] for i, name in enumerate(_TESTS)},
            **{f"in {level} %": np.mean(_inside(shares, level), axis=0) for level in (50, 90)},
            "posterior": [
                _shape(self.ranks[:, i], self.kept) if name in self.failed else ""
                for i, name in enumerate(self.quantities)
            ],
        }
        return pd.DataFrame(rows, index=pd.Index(self.quantities, name="quantity"))

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, in words."""
        count, found = len(self.numbers), []
        if self.quantities:
            tests = f"{self.chances.size} tests at {self.least_chance:.2g} each"
            text = f"{count} simulations, {self.kept} draws ranked in each; {tests}."
            found.append(text)
        if self.failed:
            found.append(f"The ranks are not uniform: {', '.join(self.failed)}.")
        elif self.quantities:
            found.append("The ranks look uniform.")
        else:
            found.append("Nothing could be ranked.")
        if self.unfitted:
            why = next(iter(self.unfitted.values())).splitlines()[0]
            found.append(f"{len(self.unfitted)} simulations could not be fitted; the first: {why}")
        if self.diverged:
            found.append(f"{self.diverged} draws diverged.")
        noise = 2.0 / np.sqrt(max(1, len(self.numbers) * self.kept))
        if self.quantities and (worst := self.dependence.max()) > _DEPENDENT + noise:
            name = self.quantities[int(self.dependence.argmax())]
            found.append(
                f"Neighbouring draws of {name} that are ranked correlate by {worst:.2f}: they are "
                "not independent, which bends the ranks of a right model too. Ask for more draws."
            )
        return tuple(found)

    @cached_property
    def dependence(self) -> np.ndarray:
        """Correlation of neighbouring ranked draws, [quantity], over all simulations."""
        centred = self.draws - self.draws.mean(axis=-1, keepdims=True)
        together = np.mean(centred[..., 1:] * centred[..., :-1], axis=(0, -1))
        alone = np.mean(centred**2, axis=(0, -1))
        # The mean was taken of few draws, which makes independent ones correlate by -1 / kept.
        return np.divide(together, alone, where=alone > 0, out=np.zeros_like(alone)) + 1 / self.kept

    def plot(self) -> Figure:
        """The ECDF of each quantity's ranks less that of uniform ones, in its band."""
        from mercer.runtime.recovery.rankplots import plot_ranks

        return plot_ranks(self)

    def save(self, path: str | Path) -> Path:
        """Writes `*.nc`, which `open_calibration` reads, or `*.csv`, a row a simulation and
        quantity with truth, rank, mean and sd of the ranked draws."""
        path = Path(path)
        if path.suffix.lower() == ".csv":
            write_csv(path, self._columns())
            return path
        with replace_whole(path) as temporary:
            self._dataset().to_netcdf(temporary, engine="h5netcdf")
        return path

    def with_rule(self, false_alarm: float) -> Calibration:
        """The same ranks, judged with another probability of failing a right model."""
        return replace(self, false_alarm=false_alarm)

    def replicates(self) -> dict[int, Replicate]:
        """What the calibration was made of, by number."""
        return {
            number: Replicate(
                dict(zip(self.quantities, self.truths[i].tolist(), strict=True)),
                dict(zip(self.quantities, self.draws[i], strict=True)),
            )
            for i, number in enumerate(self.numbers)
        }

    def __repr__(self) -> str:
        return f"<mercer.Calibration: {' '.join(self.sentences)}>"

    @property
    def _unfitted_share(self) -> float:
        return len(self.unfitted) / max(1, len(self.unfitted) + len(self.numbers))

    def _columns(self) -> dict[str, Any]:
        shape = self.truths.shape
        return {
            "simulation": np.repeat(self.numbers, shape[1]),
            "quantity": list(self.quantities) * shape[0],
            "truth": self.truths.ravel(),
            "rank": self.ranks.ravel(),
            "mean": self.draws.mean(axis=-1).ravel(),
            "sd": self.draws.std(axis=-1, ddof=1).ravel(),
        }

    def _dataset(self) -> xr.Dataset:
        header = {
            "quantities": self.quantities,
            "unfitted": {str(k): v for k, v in self.unfitted.items()},
            "diverged": self.diverged,
            "false_alarm": self.false_alarm,
            "key": self.key,
        }
        return xr.Dataset(
            {
                "truth": (("simulation", "quantity"), self.truths),
                "rank": (("simulation", "quantity"), self.ranks),
                "draws": (("simulation", "quantity", "draw"), self.draws),
            },
            coords={"simulation": list(self.numbers), "quantity": list(self.quantities)},
            attrs={"mercer_calibration": json.dumps(header)},
        )


def open_calibration(path: str | Path) -> Calibration:
    """The calibration that `save` wrote; MercerError M507 where the file holds none."""
    try:
        with xr.open_dataset(path, engine="h5netcdf") as found:
            header = json.loads(found.attrs["mercer_calibration"])
            return Calibration(
                quantities=tuple(header["quantities"]),
                numbers=tuple(int(n) for n in found["simulation"].values),
                truths=found["truth"].values,
                draws=found["draws"].values,
                unfitted={int(k): v for k, v in header["unfitted"].items()},
                diverged=header["diverged"],
                false_alarm=header["false_alarm"],
                key=header["key"],
            )
    except (OSError, KeyError, ValueError, TypeError) as error:
        problem = f"{path} holds no calibration"
        mend = "name a file that `mercer recover -o` wrote"
        raise MercerError([Diagnostic("M507", problem, mend=mend)]) from error


_TESTS = {"chi-square": ranks.uneven, "ECDF": ranks.strayed}


def _inside(shares: np.ndarray, level: int) -> np.ndarray:
    """Whether the truth lies in the central interval, by its place among the draws."""
    edge = (1.0 - level / 100.0) / 2.0
    return (shares > edge) & (shares < 1.0 - edge)


def _shape(found: np.ndarray, kept: int) -> str:
    """What is wrong with a posterior whose ranks are these: where it lies, or how wide it is."""
    shares = (found + 0.5) / (kept + 1) - 0.5
    # In standard errors of uniform shares, whose variance is 1/12, and that of their squares 1/180.
    shift = float(shares.mean() * np.sqrt(12.0 * len(found)))
    spread = float((shares.var() - 1.0 / 12.0) * np.sqrt(180.0 * len(found)))
    if abs(shift) > abs(spread):
        return "too low" if shift > 0 else "too high"
    return "too narrow" if spread > 0 else "too wide"


def _varies(draws: np.ndarray) -> bool:
    """Whether draws differ by more than rounding, as those of the diagonal of a correlation do."""
    return bool(np.ptp(draws) > 1e-9 * np.max(np.abs(draws)))
