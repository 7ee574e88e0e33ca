"""The terms that an outcome may be made of: numbers, effects, random functions, noise."""

from __future__ import annotations

import numpy as np

from tests.reference.pieces import GROUPS, WIDTH, Pieces


class Terms(Pieces):
    # --- terms: numbers ---------------------------------------------------------------------

    def level(self) -> str:
        return self.real_number("level")

    def slope(self) -> str:
        return f"{self.real_number('slope')} * {self.column('w')}"

    def heavy_slope(self) -> str:
        name = self.fresh("heavy")
        laws = ["StudentT(3, 0, 1)", "Laplace(0, 1)", "Cauchy(0, 2)", "Logistic(0, 1)"]
        law = self.pick([*laws, "Uniform(-9, 9)"])
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
        if self.chance(0.3):
            label = '"green"' if self.declared else "1"
            return f"({name}[g] - {name}[{label}])"
        return f"{name}[g] * {self.column('w')}" if self.chance(0.3) else f"{name}[g]"

    def bounded(self) -> str:
        """A number of an interval, whose prior is conditioned on it."""
        name = self.fresh("share")
        law = self.pick(["Normal(0.3, 1)", "StudentT(4, 0, 1)", "Uniform(-1, 2)", "Flat()"])
        self.lines.append(f"{name} : Interval(-1, 2) ~ {law}")
        self.values[name] = self.rng.uniform(-0.7, 1.7)
        return f"{name} * {self.column('w')}"

    def ordered(self) -> str:
        """One of several numbers in rising order."""
        name, index = self.fresh("height"), self.fresh("step")
        self.lines += [f"index {index} = 1..3", f"{name} : Ordered({index}) ~ Normal(0, 2)"]
        self.values[name] = np.cumsum(self.rng.uniform(0.3, 1.0, 3)) - 1
        return f"{name}[2]"

    def average(self) -> str:
        """The mean of a column over the rows of each group."""
        word = self.pick(["mean", "sum", "max"])
        self.column("g"), self.column("w")
        return f"{self.real_number('slope')} * {word}(w, by = g)[g]"

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

    def area(self) -> str:
        """What a random function amounts to from 0 to some end."""
        name, law = self.fresh("rate"), self.positive()
        self.lines.append(f"{name} : Real -> Real ~ GP(RBF(lengthscale ~ {law}, scale = 0.8))")
        self.values[f"{name}.lengthscale"] = self.rng.uniform(0.8, 1.6)
        return f"Integral({name}, 0, {float(self.number())}) * {self.column('w')}"

    def defaulted(self) -> str:
        """A random function whose hyperparameters have the priors of the library."""
        name = self.fresh("usual")
        word = self.pick(["RBF", "Matern32", "RationalQuadratic"])
        column = self.column(self.pick(["t", "x"]))
        domain = "Real^d" if column == "x" else "Real"
        self.lines.append(f"{name} : {domain} -> Real ~ GP({word}())")
        for argument in ["lengthscale", "scale", "alpha"][: 3 if word[:2] == "Ra" else 2]:
            self.values[f"{name}.{argument}"] = self.rng.uniform(0.6, 1.6)
        return f"{name}({column})"

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

    # --- noise, and sums ----------------------------------------------------------------------

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
            self.bounded,
            self.ordered,
            self.average,
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
            self.area,
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
