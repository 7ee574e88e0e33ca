"""A seed into a well-typed model with its data and values for its unknowns.

Every construct stands in a method of its own, which writes its lines and returns the term that an
outcome may use. All labels occur, and values lie well inside their spaces, so that no density
depends on jitter or on a bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.reference.pieces import WIDTH
from tests.reference.terms import Terms

Generated = tuple[str, dict[str, Any], dict[str, Any]]


def generate(seed: int) -> Generated:
    """The text of a model, arrays for its data names, and a value for each of its unknowns."""
    return _Model(seed).generated()


class _Model(Terms):
    def generated(self) -> Generated:
        kind = self.pick(
            ["gaussian"] * 8
            + ["vector", "counts", "counts", "two", "two", "field", "mixed", "grades", "grades"]
        )
        getattr(self, kind)()
        self.rng.shuffle(self.lines)  # order is free
        text = "\n".join([*self.data_lines.values(), *self.lines]) + "\n"
        return text, self.data, self.values

    def gaussian(self) -> None:
        location = self.location(int(self.rng.integers(0, 3)))
        if self.chance(0.2):
            location += f" + {self.defaulted()}"
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        self.lines.append(f"{y} ~ Normal({location}, {self.noise()})")

    def two(self) -> None:
        """Two outcomes that share terms, the second sometimes of a derivative."""
        terms = self.terms(1)
        name = self.fresh("f")
        self.lines.append(f"{name} ~ GP({self.kernel(name, smooth=True)})")
        t = self.column("t")
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        self.lines.append(f"{y} ~ Normal({' + '.join([*terms, f'{name}({t})'])}, {self.noise()})")
        match self.rng.integers(4):
            case 0:
                v = self.outcome("v", "Real", self.rng.normal(size=self.n))
                self.lines.append(f"{v} ~ Normal(D({name})({t}), 0.4)")
            case 1:
                self.data_lines["rod"] = "data rod[m] : Real"
                self.data["rod"] = self.rng.uniform(0, 4, 3)
                self.lines.append("zero = 0")
                self.lines.append(f"zero ~ Normal(Laplacian({name})(rod), 0.3)")
            case 2:
                self.data_lines["s"] = "data s[m] : Real"
                self.data["s"] = self.rng.uniform(0, 4, 4)
                v = self.outcome("v", "Real", self.rng.normal(size=4), "m")
                self.lines.append(f"{v} ~ Normal({self.level()} + 2 * {name}(s), 0.5)")
            case 3:
                v = self.outcome("v", "Real", self.rng.normal(size=self.n))
                self.lines.append(f"{v} ~ Normal({self.pick(terms)} - {name}({t}), 0.5)")

    def field(self) -> None:
        """Currents: partial derivatives of potentials on a product of numbers, or a gradient."""
        if self.chance(0.3):
            self.column("x")
            kernel = self.kernel("pot", kind="vector", smooth=True)
            self.lines.append(f"pot : Real^d -> Real ~ GP({kernel})")
            y = self.outcome("flow", "Real^d", self.rng.normal(size=(self.n, WIDTH)))
            self.lines.append(f"{y} ~ Normal(D(pot)(x), {self.positive_number('noise')})")
            return
        lon, lat = self.column("lon"), self.column("lat")
        for name in ("phi", "psi"):
            kernel = self.kernel(name, kind="plain", smooth=True)
            self.lines.append(f"{name} : (lon: Real, lat: Real) -> Real ~ GP({kernel})")
        noise = self.positive_number("noise")
        at = f"({lon}, {lat})"
        for name, text in (
            ("east", f"D(phi, lon){at} + D(psi, lat){at}"),
            ("north", f"D(phi, lat){at} - D(psi, lon){at}"),
        ):
            y = self.outcome(name, "Real", self.rng.normal(size=self.n))
            self.lines.append(f"{y} ~ Normal({text}, {noise})")

    def vector(self) -> None:
        """A function to Real^k, its outputs independent or correlated."""
        self.lines.append("index k = 1..2")
        outputs = ""
        match self.rng.integers(3):
            case 0:
                self.lines.append("Omega : Correlation(k) ~ LKJ(2)")
                r = self.rng.uniform(-0.6, 0.6)
                self.values["Omega"] = np.array([[1, r], [r, 1]])
                outputs = ", outputs = Omega"
            case 1:
                outputs = f", outputs = {self.labels('f', 'k', 2, 1)}"
        kernel = "RBF(lengthscale ~ Gamma(3, 2), scale = 1.1)"
        self.values["f.lengthscale"] = self.rng.uniform(0.6, 1.6)
        self.lines.append(f"f : Real -> Real^k ~ GP({kernel}{outputs})")
        level = ""
        if self.chance(0.5):
            self.lines.append("base[k] ~ Normal(0, 1)")
            self.values["base"] = self.rng.normal(size=2)
            level = "base + "
        y = self.outcome("y", "Real", self.rng.normal(size=(self.n, 2)), "n, k")
        t, noise = self.column("t"), self.positive_number("noise")
        self.lines.append(f"{y} ~ Normal({level}f({t}), {noise})")

    def counts(self) -> None:
        """An outcome that is not Gaussian, with one random function or none."""
        location = self.location(int(self.rng.integers(0, 2)))
        n, rng = self.n, self.rng
        counts = rng.poisson(2, n)
        match rng.integers(6):
            case 0:
                law, space, y = f"Poisson(exp({location}))", "Count", counts
            case 1:
                law, space, y = f"Bernoulli(logits = {location})", "Bool", counts % 2
            case 2:
                noise = self.positive_number("noise")
                law, space, y = f"StudentT(4, {location}, {noise})", "Real", rng.normal(size=n)
            case 3:
                size = self.positive_number("size")
                law, space = f"NegativeBinomial2(exp({location}), {size})", "Count"
                y = np.minimum(counts, 6)  # from 7 on JAX's `betaln` is off by 1e-6
            case 4:
                shape = self.positive_number("shape")
                law = f"Gamma({shape}, exp({location}))"
                space, y = "Positive", rng.gamma(2, size=n)
            case 5:
                law, space = f"Binomial(5, logits = {location})", "Count"
                y = np.minimum(counts, 5)
        self.lines.append(f"{self.outcome('y', space, y)} ~ {law}")

    def grades(self) -> None:
        """An outcome that is one of several labels, with or without an order."""
        location = self.location(int(self.rng.integers(0, 2)))
        if self.chance(0.5):
            self.lines.append('index grade = ["bad", "fair", "good", "best"]')
            self.lines.append("cuts : Ordered(3) ~ Normal(0, 3)")
            self.values["cuts"] = np.cumsum(self.rng.uniform(0.4, 1.5, 3)) - 2
            law, count = f"OrderedLogistic({location}, cuts)", 4
        else:
            self.lines.append("index grade = 1..3")
            self.lines.append("score[grade] ~ Normal(0, 1)")
            self.values["score"] = self.rng.normal(size=3)
            law, count = f"Categorical(logits = score * ({location}))", 3
        y = self.outcome("y", "Label(grade)", self.rng.integers(0, count, self.n))
        self.lines.append(f"{y} ~ {law}")

    def mixed(self) -> None:
        """A random function under a count and under a Gaussian outcome."""
        self.lines.append(f"f ~ GP({self.kernel('f', smooth=True)})")
        t = self.column("t")
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        k = self.outcome("hits", "Count", self.rng.poisson(2, self.n))
        self.lines.append(f"{y} ~ Normal({self.level()} + f({t}), {self.positive_number('noise')})")
        self.lines.append(f"{k} ~ Poisson(exp(0.5 * f({t})))")
