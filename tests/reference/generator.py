"""A seed into a well-typed model with its data and values for its unknowns.

Every construct stands in a method of its own, which writes its lines and returns the term that an
outcome may use. All priors are written out, all labels occur, and values lie well inside their
spaces, so that no density depends on jitter or on a bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Generated = tuple[str, dict[str, Any], dict[str, Any]]

GROUPS, WIDTH = 3, 2


def generate(seed: int) -> Generated:
    """The text of a model, arrays for its data names, and a value for each of its unknowns."""
    return _Model(seed).generated()


class _Model:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.n = int(self.rng.choice([5, 7, 8]))
        self.data: dict[str, Any] = {}
        self.values: dict[str, Any] = {}
        self.data_lines: dict[str, str] = {}
        self.lines: list[str] = []
        self.count: dict[str, int] = {}
        self.latent = False

    def generated(self) -> Generated:
        kind = self.pick(
            ["gaussian"] * 8 + ["vector", "counts", "counts", "two", "two", "field", "mixed"]
        )
        getattr(self, kind)()
        self.rng.shuffle(self.lines)  # order is free
        text = "\n".join([*self.data_lines.values(), *self.lines]) + "\n"
        return text, self.data, self.values

    # --- small things -----------------------------------------------------------------------

    def pick(self, options: list[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def fresh(self, word: str) -> str:
        self.count[word] = self.count.get(word, 0) + 1
        return f"{word}{self.count[word]}" if self.count[word] > 1 else word

    def number(self, low: float = 0.5, high: float = 2.0) -> str:
        return f"{self.rng.uniform(low, high):.2f}"

    def column(self, name: str) -> str:
        """A data column, declared when first used."""
        if name in self.data_lines:
            return name
        n, rng = self.n, self.rng
        declared: dict[str, tuple[str, Callable[[], Any]]] = {
            "t": ("t[n] : Real", lambda: np.sort(rng.uniform(0, 4, n))),
            "w": ("w[n] : Real", lambda: rng.normal(size=n)),
            "lon": ("lon[n] : Real", lambda: rng.uniform(0, 2, n)),
            "lat": ("lat[n] : Real", lambda: rng.uniform(0, 2, n)),
            "x": ("x[n] : Real^d", lambda: rng.normal(size=(n, WIDTH))),
            "site": ("site[n] : Real^2", lambda: rng.normal(size=(n, 2))),
            "sigma": ("sigma[n] : Positive", lambda: rng.uniform(0.2, 0.6, n)),
            "g": ("g[n] : Label(c)", lambda: rng.permutation(np.arange(n) % GROUPS)),
            "u": ("u[c] : Real", lambda: rng.normal(size=GROUPS)),
        }
        line, make = declared[name]
        self.data_lines[name] = f"data {line}"
        self.data[name] = make()
        return name

    def outcome(self, name: str, space: str, array: Any, index: str = "n") -> str:
        self.data_lines[name] = f"data {name}[{index}] : {space}"
        array = np.asarray(array, float)
        if self.chance(0.25):
            array[tuple(0 for _ in array.shape)] = np.nan
        self.data[name] = array
        return name

    # --- priors -----------------------------------------------------------------------------

    def positive(self) -> str:
        return str(
            self.pick(
                [
                    "LogNormal(0, 0.7)",
                    "HalfNormal(1.5)",
                    "Gamma(3, 2)",
                    "InverseGamma(3, 3)",
                    "Exponential(0.8)",
                    "HalfCauchy(1)",
                    "Weibull(1.2, 2)",
                    "Normal(1, 0.5)",
                    "StudentT(4, 0, 1)",
                    "Uniform(0.1, 4)",
                ]
            )
        )

    def positive_number(self, name: str) -> str:
        prior = self.positive()
        space = " : Positive" if prior[:4] in ("Norm", "Stud", "Unif") else ""
        self.lines.append(f"{name}{space} ~ {prior}")
        self.values[name] = self.rng.uniform(0.4, 1.5)
        return name

    def real_number(self, word: str) -> str:
        name = self.fresh(word)
        law = self.pick(["Normal(0, 1)", "Normal(0.5, 2)", "Normal(-1, 1.5)", "Normal()"])
        self.lines.append(f"{name} ~ {law}")
        self.values[name] = self.rng.normal()
        return name

    # --- terms: numbers ---------------------------------------------------------------------

    def level(self) -> str:
        return self.real_number("level")

    def slope(self) -> str:
        return f"{self.real_number('slope')} * {self.column('w')}"

    def heavy_slope(self) -> str:
        name = self.fresh("heavy")
        law = self.pick(["StudentT(3, 0, 1)", "Laplace(0, 1)", "Cauchy(0, 2)", "Logistic(0, 1)"])
        self.lines.append(f"{name} ~ {law}")
        self.values[name] = self.rng.normal()
        return f"{name} * {self.column('w')}"

    def effects(self) -> str:
        name, how = self.fresh("effect"), self.rng.integers(4)
        self.column("g")
        mean = "0"
        if how == 1:
            mean = self.real_number("centre")
        if how == 2:
            mean = f"{self.real_number('centre')} + {self.real_number('lift')} * {self.column('u')}"
        if self.chance(0.5):
            self.lines.append(f"{name}[c] ~ Normal({mean}, scale ~ {self.positive()})")
            self.values[f"{name}.scale"] = self.rng.uniform(0.4, 1.5)
        else:
            scale = self.positive_number(self.fresh("tau"))
            self.lines.append(f"{name}[c] ~ Normal({mean}, {scale})")
        self.values[name] = self.rng.normal(size=GROUPS)
        return f"{name}[g] * {self.column('w')}" if self.chance(0.3) else f"{name}[g]"

    def crossed(self) -> str:
        name = self.fresh("cross")
        self.column("g"), self.column("x")
        self.lines.append(f"{name}[c, d] ~ Normal(0, {self.number()})")
        self.values[name] = self.rng.normal(size=(GROUPS, WIDTH))
        return f"sum({name}[g] * x, d)"

    def coefficients(self) -> str:
        name = self.fresh("beta")
        self.column("x")
        if self.chance(0.4):
            self.lines.append(f"{name}[d] ~ Normal(0, scale[d] ~ {self.positive()})")
            self.values[f"{name}.scale"] = self.rng.uniform(0.4, 1.5, WIDTH)
        else:
            self.lines.append(f"{name}[d] ~ Normal(0, {self.number()})")
        self.values[name] = self.rng.normal(size=WIDTH)
        return f"sum(x * {name}, d)"

    def linear_map(self) -> str:
        name = self.fresh("map")
        self.column("x")
        bias = f", bias = {self.number(-1, 1)}" if self.chance(0.4) else ""
        law = f"Normal({self.pick(['0', '0.3'])}, {self.number()})"
        self.lines.append(f"{name} : Real^d -> Real ~ Linear(weights ~ {law}{bias})")
        self.values[f"{name}.weights"] = self.rng.normal(size=WIDTH)
        return f"{name}(x)"

    # --- kernels ----------------------------------------------------------------------------

    def kernel(self, owner: str, *, kind: str = "number", smooth: bool = False) -> str:
        """`kind`: "number", "vector" (over d) or "plain" (a vector whose coordinates have no name);
        `smooth`: with two derivatives."""
        leaves = ["RBF", "Matern52", "RationalQuadratic", "Periodic"]
        if not smooth:
            leaves += ["Matern12", "Matern32", "White", "RBF", "Matern32"]
            leaves += ["Cosine", "Linear", "Polynomial", "Constant"]
            leaves += ["Brownian"] if kind == "number" else []
        first = self.pick(leaves)
        others = [w for w in leaves if w != first]
        second = self.pick(others)
        shape = self.rng.integers(7)
        words = [first, second] if shape in (1, 2, 3) else [first]
        parts = [self.leaf(w, kind) for w in words]
        asked = [name for _, unknowns in parts for name in unknowns]
        for word, (_, unknowns) in zip(words, parts, strict=True):
            for name, value in unknowns.items():
                part = f"{word}." if asked.count(name) > 1 else ""
                self.values[f"{owner}.{part}{name}"] = value
        texts = [text for text, _ in parts]
        match shape:
            case 1:
                return " + ".join(texts)
            case 2:
                return " * ".join(texts)
            case 3:
                return f"{texts[0]} + {self.number()} * {texts[1]}"
            case 4:
                return f"{self.number()} * {texts[0]}"
            case 5:
                return f"{texts[0]}^2"
        return texts[0]

    def leaf(self, word: str, kind: str) -> tuple[str, dict[str, Any]]:
        names = {
            "RationalQuadratic": ["lengthscale", "alpha", "scale"],
            "Periodic": ["period", "lengthscale", "scale"],
            "Cosine": ["period", "scale"],
            "Linear": ["scale"],
            "Polynomial": ["lengthscale", "offset", "scale"],
            "White": ["scale"],
            "Constant": ["scale"],
            "Brownian": ["scale"],
        }.get(word, ["lengthscale", "scale"])
        texts, unknowns = [], dict[str, Any]()
        if word == "Polynomial":
            texts.append("degree = 2")
        if word == "Brownian":
            texts.append("start = -1")
        if word == "Linear" and self.chance(0.5):
            texts.append(f"centre = {self.number()}")
        for name in names:
            each = kind == "vector" and name in ("lengthscale", "period") and self.chance(0.6)
            if self.chance(0.35):
                texts.append(f"{name} = {self.number(0.7, 2)}")
            elif each:
                texts.append(f"{name}[d] ~ {self.positive()}")
                unknowns[name] = self.rng.uniform(0.6, 1.6, WIDTH)
            else:
                texts.append(f"{name} ~ {self.positive()}")
                unknowns[name] = self.rng.uniform(0.6, 1.6)
        return f"{word}({', '.join(texts)})", unknowns

    # --- terms: functions -------------------------------------------------------------------

    def mean(self, owner: str, kind: str) -> str:
        match self.rng.integers(6):
            case 0:
                return f", mean = {self.number(-1, 1)}"
            case 1:
                return f", mean = {self.real_number('rest')}"
            case 2 if kind == "number":
                return ", mean = Identity()"
            case 3 if kind == "vector":
                self.values[f"{owner}.weights"] = self.rng.normal(size=WIDTH)
                return ", mean = Linear(weights ~ Normal(0, 1))"
        return ""

    def curve(self) -> str:
        name = self.fresh("f")
        kernel = self.kernel(name)
        self.lines.append(f"{name} ~ GP({kernel}{self.mean(name, 'number')})")
        return f"{name}({self.column('t')})"

    def scaled_curve(self) -> str:
        scale, curve = self.pick(["exp(0.3 * w)", "(1 + w)", "0.5"]), self.curve()
        self.column("w")
        return f"{scale} * {curve}"

    def surface(self) -> str:
        name = self.fresh("h")
        kernel = self.kernel(name, kind="vector")
        mean = self.mean(name, "vector")
        self.lines.append(f"{name} : Real^d -> Real ~ GP({kernel}{mean})")
        return f"{name}({self.column('x')})"

    def additive(self) -> str:
        name = self.fresh("part")
        each = "[d]" if self.chance(0.6) else ""
        law = self.positive()
        self.lines.append(
            f"{name}[d] : Real -> Real ~ GP(Matern52(lengthscale{each} ~ {law}, scale = 0.8))"
        )
        self.values[f"{name}.lengthscale"] = self.rng.uniform(0.6, 1.6, WIDTH if each else ())
        return f"sum({name}({self.column('x')}), d)"

    def grouped(self) -> str:
        name = self.fresh("swing")
        self.column("g")
        each = "[c]" if self.chance(0.5) else ""
        law, scale = self.positive(), self.positive()
        own = "[c]" if self.chance(0.5) else ""
        word = self.pick(["RBF", "Matern32"])
        self.lines.append(
            f"{name}[c] : Real -> Real ~ "
            f"GP({word}(lengthscale{each} ~ {law}, scale{own} ~ {scale}))"
        )
        self.values[f"{name}.lengthscale"] = self.rng.uniform(0.6, 1.6, GROUPS if each else ())
        self.values[f"{name}.scale"] = self.rng.uniform(0.6, 1.6, GROUPS if own else ())
        return f"{name}[g]({self.column('t')})"

    def product(self) -> str:
        name = self.fresh("block")
        self.column("site"), self.column("g")
        law = self.positive()
        between = self.labels(name, "c", GROUPS, int(self.rng.integers(1, 3)))
        self.lines.append(
            f"{name} : (place: Real^2, time: Real, kind: Label(c)) -> Real ~ GP("
            f"Matern32(lengthscale ~ {law}, scale = 1.2)[place] * "
            f"(Matern12(lengthscale = 1.5, scale = 1)[time] + Periodic(period = 7, "
            f"lengthscale = 1.1, scale = 0.5)[time]) * {between}[kind])"
        )
        self.values[f"{name}.lengthscale"] = self.rng.uniform(0.6, 1.6)
        return f"{name}(site, {self.column('t')}, g)"

    def labels(self, owner: str, index: str, count: int, rank: int) -> str:
        """A kernel between labels, from unknowns of their own or in place."""
        if self.chance(0.5):
            self.values[f"{owner}.weights"] = self.rng.normal(size=(count, rank))
            self.values[f"{owner}.kappa"] = self.rng.uniform(0.3, 1.0, count)
            each = f"[{index}]" if self.chance(0.3) else ""
            return f"Coregion(rank = {rank}, weights ~ Normal(0, 1), kappa{each} ~ HalfNormal(1))"
        share, own = self.fresh("Share"), self.fresh("Own")
        self.lines.append(f"{share}[{index}] : Real^{rank} ~ Normal(0, 1)")
        self.lines.append(f"{own}[{index}] ~ HalfNormal(1)")
        self.values[share] = self.rng.normal(size=(count, rank))
        self.values[own] = self.rng.uniform(0.3, 1.0, count)
        return f"Coregion(rank = {rank}, weights = {share}, kappa = {own})"

    def abbreviated(self) -> str:
        """A kernel by a definition, and one by a `def`."""
        name, kernel = self.fresh("smooth"), self.fresh("long")
        self.lines.append(f"{kernel} = RBF(lengthscale ~ {self.positive()}, scale = 0.9)")
        self.values[f"{kernel}.lengthscale"] = self.rng.uniform(0.6, 1.6)
        wave = self.fresh("Wave")
        self.lines.append(f"def {wave}(p) = Periodic(period = p, lengthscale = 1, scale = 0.7)")
        self.lines.append(f"{name} ~ GP({kernel} + {wave}({self.number()}))")
        return f"{name}({self.column('t')})"

    # --- noise and whole models ---------------------------------------------------------------

    def noise(self) -> str:
        match self.rng.integers(6):
            case 0:
                return self.number(0.2, 0.6)
            case 1:
                return self.column("sigma")
            case 2:
                return f"{self.positive_number('noise')} * exp(0.3 * {self.column('w')})"
            case 3:
                self.column("g")
                self.lines.append(f"noise[c] ~ {self.pick(['HalfNormal(1)', 'Gamma(2, 2)'])}")
                self.values["noise"] = self.rng.uniform(0.3, 1, GROUPS)
                return "noise[g]"
            case 4:
                return f"sqrt({self.positive_number('noise')})"
        return self.positive_number("noise")

    def terms(self, functions: int) -> list[str]:
        numbers = [
            self.level,
            self.slope,
            self.heavy_slope,
            self.effects,
            self.effects,
            self.crossed,
            self.coefficients,
            self.linear_map,
        ]
        waves = [
            self.curve,
            self.curve,
            self.scaled_curve,
            self.surface,
            self.surface,
            self.additive,
            self.grouped,
            self.product,
            self.abbreviated,
        ]
        made = [self.pick(waves)() for _ in range(functions)]
        made += [self.pick(numbers)() for _ in range(int(self.rng.integers(0 if made else 1, 4)))]
        self.rng.shuffle(made)
        return made

    def location(self, functions: int) -> str:
        text = " + ".join(self.terms(functions))
        if self.chance(0.25):
            name = self.fresh("mu")
            self.lines.append(f"{name}[n] = {text}")
            return name
        return text

    def gaussian(self) -> None:
        location = self.location(int(self.rng.integers(0, 3)))
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
                law, space, y = f"NegativeBinomial2(exp({location}), {size})", "Count", counts
            case 4:
                shape = self.positive_number("shape")
                law = f"Gamma({shape}, exp({location}))"
                space, y = "Positive", rng.gamma(2, size=n)
            case 5:
                law, space = f"Binomial(5, logits = {location})", "Count"
                y = np.minimum(counts, 5)
        self.lines.append(f"{self.outcome('y', space, y)} ~ {law}")

    def mixed(self) -> None:
        """A random function under a count and under a Gaussian outcome."""
        self.lines.append(f"f ~ GP({self.kernel('f', smooth=True)})")
        t = self.column("t")
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        k = self.outcome("hits", "Count", self.rng.poisson(2, self.n))
        self.lines.append(f"{y} ~ Normal({self.level()} + f({t}), {self.positive_number('noise')})")
        self.lines.append(f"{k} ~ Poisson(exp(0.5 * f({t})))")
