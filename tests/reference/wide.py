"""A seed into a model of the wider language: networks, unknown inputs, columns with gaps, unknown
ends, several functions under one outcome, unknowns that depend on values of functions, every law
of an outcome, truncated, censored, weighted and transformed ones."""

from __future__ import annotations

import numpy as np

from tests.reference.generator import Generated
from tests.reference.pieces import GROUPS
from tests.reference.terms import Terms

KINDS = (
    "network deep_kernel inside_out latent_inputs imputed imputed_input ends each_end several "
    "location_and_scale labels_of_several heteroskedastic correlated overdispersed vectors "
    "shares heavy truncated real_laws censored positive_laws weighted count_laws transformed "
    "unit_laws counts_of_labels zero_sum covariances"
).split()

REAL_LAWS = (
    "Gumbel({eta}, {s})",
    "SoftLaplace({eta}, {s})",
    "AsymmetricLaplace({eta}, {s}, 1.5)",
    "VonMises({eta}, {s})",
    "Laplace({eta}, {s})",
    "Logistic({eta}, {s})",
    "Cauchy({eta}, {s})",
    "Uniform({eta} - 30, 30 * exp({eta}))",
)
POSITIVE_LAWS = (
    "HalfNormal(exp({eta}))",
    "HalfCauchy(exp({eta}))",
    "Chi2(exp({eta}))",
    "Pareto(0.01, exp({eta}))",
    "Gompertz(0.5, exp({eta}))",
    "LogUniform(0.001, 20 + exp({eta}))",
    "InverseGamma(1 + {s}, exp({eta}))",
    "LogNormal({eta}, {s})",
)
COUNT_LAWS = (
    "NegativeBinomial(1 + {s}, logits = {eta})",
    "GammaPoisson({s}, exp({eta}))",
    "BetaBinomial(exp({eta}), {s}, 9)",
    "Geometric(logits = {eta})",
    "ZeroInflatedPoisson(logistic({eta}), {s})",
    "Binomial(9, probs = logistic({eta}))",
)
UNIT_LAWS = (
    "Beta(exp({eta}), 1 + {s})",
    "BetaProportion(logistic({eta}), 2 + {s})",
    "Kumaraswamy(exp({eta}), 1 + {s})",
)
"""Laws of an outcome over a predictor `eta` and a positive number `s`, one after another."""


def generate_wide(seed: int) -> Generated:
    """As `generate`: the text of a model, its data, values for its unknowns."""
    model = _Wide(seed)
    model.round = seed // len(KINDS)
    getattr(model, KINDS[seed % len(KINDS)])()
    model.rng.shuffle(model.lines)
    return "\n".join([*model.data_lines.values(), *model.lines]) + "\n", model.data, model.values


class _Wide(Terms):
    round = 0  # how many models of its kind came before

    # --- networks ---

    def net(self, name: str, inside: str, outputs: int = 0) -> str:
        """A network of `inside` ("x", a vector, or a number); its text, not yet applied."""
        widths = self.pick([[3], [3, 4], [3, 3]])
        word = self.pick(["tanh", "softplus", "logistic"])
        law = self.pick(["", ", weights ~ Normal(0, 1.5)", ", weights ~ StudentT(5, 0, 1)"])
        domain, codomain = "Real^d" if inside == "x" else "Real", "Real"
        codomain += f"^{outputs}" if outputs else ""
        self.lines.append(
            f"{name} : {domain} -> {codomain} ~ "
            f"Network(hidden = {widths}, activation = {word}{law})"
        )
        return name

    def network(self) -> None:
        inside = self.column(self.pick(["x", "t"]))
        net = self.net("net", inside)
        terms = " + ".join([f"{net}({inside})", *self.terms(0)])
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        law = self.pick([f"Normal({terms}, {self.noise()})", f"StudentT(4, {terms}, 0.7)"])
        self.lines.append(f"{y} ~ {law}")

    def deep_kernel(self) -> None:
        net = self.net("feature", self.column("x"), outputs=2)
        law = self.positive()
        self.lines.append(f"deep : Real^2 -> Real ~ GP(RBF(lengthscale ~ {law}, scale = 1.1))")
        self.values["deep.lengthscale"] = self.rng.uniform(0.6, 1.6)
        terms = " + ".join([f"deep({net}(x))", *self.terms(self.rng.integers(0, 2))])
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        self.lines.append(f"{y} ~ Normal({terms}, {self.noise()})")

    def inside_out(self) -> None:
        """A network of the values of a random function."""
        kernel = self.kernel("f", smooth=True)
        self.lines.append(f"f : Real -> Real ~ GP({kernel})")
        net = self.net("net", "f")
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        self.lines.append(f"{y} ~ Normal({net}(f({self.column('t')})), {self.noise()})")

    # --- unknown inputs and columns ---

    def latent_inputs(self) -> None:
        self.data_lines["index"] = "index gene = 1..2"
        self.lines.append("place[n] : Real^2 ~ Normal(0, 1)")
        self.values["place"] = self.rng.normal(size=(self.n, 2))
        law = self.positive()
        self.lines.append(f"f : Real^2 -> Real^gene ~ GP(RBF(lengthscale ~ {law}, scale = 1))")
        self.values["f.lengthscale"] = self.rng.uniform(0.6, 1.6)
        y = self.outcome("y", "Real^gene", self.rng.normal(size=(self.n, 2)))
        self.lines.append(f"{y} ~ Normal(f(place), {self.positive_number('noise')})")

    def gaps(self) -> str:
        """A column with missing entries and a law of its own."""
        n, rng = self.n, self.rng
        column = rng.uniform(0.5, 2.0, n)
        column[rng.permutation(n)[:2]] = np.nan
        self.data["v"] = column
        law = self.pick(["normal", "gamma", "trend"])
        space = "Positive" if law == "gamma" else "Real"
        self.data_lines["v"] = f"data v[n] : {space}"
        match law:
            case "gamma":
                self.lines.append(f"v ~ Gamma({self.positive_number('shape')}, 1.5)")
            case "normal":
                self.lines.append(f"v ~ Normal({self.real_number('rest')}, 0.8)")
            case _:
                slope = self.real_number("rise")
                self.lines.append(f"v ~ StudentT(5, {slope} * {self.column('w')}, 0.9)")
        return "v"

    def imputed(self) -> None:
        v = self.gaps()
        terms = " + ".join([f"{self.real_number('lift')} * {v}", *self.terms(1)])
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        self.lines.append(f"{y} ~ Normal({terms}, {self.noise()})")

    def imputed_input(self) -> None:
        v = self.gaps()
        self.lines.append(f"f ~ GP({self.kernel('f', smooth=True)})")
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        self.lines.append(f"{y} ~ Normal(f({v}), {self.noise()})")

    # --- ends ---

    def ends(self) -> None:
        low, high = self.real_number("low"), self.positive_number("wide")
        law = self.pick(["Normal(0.3, 1)", "StudentT(4, 0, 1)", "Flat()"])
        self.lines.append(f"between : Interval({low}, {low} + {high}) ~ {law}")
        terms = " + ".join(["between", *self.terms(1)])
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        self.lines.append(f"{y} ~ Normal({terms}, {self.noise()})")

    def each_end(self) -> None:
        self.column("g")
        high = self.positive_number("wide")
        self.lines.append(f"level[c] : Interval(-1, {high} * c_top) ~ Normal(0, 1)")
        self.lines.append("c_top[c] ~ HalfNormal(2)")
        self.values["c_top"] = self.rng.uniform(0.5, 2.0, GROUPS)
        y = self.outcome("y", "Count", self.rng.poisson(2, self.n))
        self.lines.append(f"{y} ~ Poisson(exp(level[g]))")

    # --- several functions ---

    def several(self) -> None:
        location = self.location(2)
        y = self.outcome("y", "Count", self.rng.poisson(2, self.n))
        self.lines.append(f"{y} ~ Poisson(exp(0.3 * ({location})))")

    def location_and_scale(self) -> None:
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        self.lines.append(
            f"{y} ~ StudentT({self.number(3, 6)}, {self.curve()} + {self.effects()}, "
            f"exp(0.4 * {self.surface()}))"
        )

    def heteroskedastic(self) -> None:
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        self.lines.append(f"{y} ~ Normal({self.curve()}, exp(0.4 * {self.grouped()}))")

    def labels_of_several(self) -> None:
        self.lines.append("index colour = 1..3")
        self.lines.append(f"f : Real -> Real^colour ~ GP({self.kernel('f', smooth=True)})")
        t = self.column("t")
        y = self.outcome("y", "Label(colour)", self.rng.integers(0, 3, self.n))
        self.lines.append(f"{y} ~ Categorical(logits = f({t}) + {self.slope()})")

    # --- unknowns that hang together ---

    def correlated(self) -> None:
        self.lines += ["index part = 1..2", "Omega : Correlation(part) ~ LKJ(2)"]
        r = self.rng.uniform(-0.6, 0.6)
        self.values["Omega"] = np.array([[1, r], [r, 1]])
        self.lines.append("tau[part] ~ HalfNormal(1)")
        self.values["tau"] = self.rng.uniform(0.5, 1.5, 2)
        self.column("g")
        self.lines.append("b[c] : Real^part ~ MultivariateNormal(0.2, tau * Omega * tau[part'])")
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        text = f"b[g][1] + b[g][2] * {self.column('w')}"
        self.lines.append(f"{y} ~ Normal({text}, {self.noise()})")

    def overdispersed(self) -> None:
        """An unknown a row about the values of a function."""
        spread = self.positive_number("spread")
        self.lines.append(f"z[n] ~ Normal({self.curve()}, {spread})")
        y = self.outcome("y", "Count", self.rng.poisson(2, self.n))
        self.lines.append(f"{y} ~ Poisson(exp(0.4 * z))")

    def heavy(self) -> None:
        """Effects of heavy tails with a scale of their own."""
        self.column("g"), self.column("w")
        law = self.pick(["StudentT(4, 0, {s})", "Laplace(0.1, {s})", "Cauchy(0, {s})"])
        scale = self.positive_number("spread")
        self.lines.append(f"b[c] ~ {law.format(s=scale)}")
        y = self.outcome("y", "Count", self.rng.poisson(2, self.n))
        self.lines.append(f"{y} ~ NegativeBinomial2(exp(0.3 * b[g] * w), {self.number()})")

    # --- outcomes of vectors ---

    def vectors(self) -> None:
        self.lines += ["index part = 1..2", "Omega : Correlation(part) ~ LKJ(1.5)"]
        r = self.rng.uniform(-0.6, 0.6)
        self.values["Omega"] = np.array([[1, r], [r, 1]])
        self.lines.append(f"f : Real -> Real^part ~ GP({self.kernel('f', smooth=True)})")
        t = self.column("t")
        self.data_lines["y"] = "data y[n] : Real^part"
        self.data["y"] = self.rng.normal(size=(self.n, 2))
        self.lines.append(f"y ~ MultivariateNormal(f({t}), Omega)")

    def shares(self) -> None:
        self.lines.append("index part = 1..3")
        self.lines.append(f"f : Real -> Real^part ~ GP({self.kernel('f', smooth=True)})")
        t = self.column("t")
        self.data_lines["y"] = "data y[n] : Simplex(part)"
        self.data["y"] = self.rng.dirichlet(np.full(3, 3.0), self.n)
        self.lines.append(f"y ~ Dirichlet(exp(0.4 * f({t})))")

    def counts_of_labels(self) -> None:
        self.lines.append("index part = 1..3")
        self.lines.append(f"f : Real -> Real^part ~ GP({self.kernel('f', smooth=True)})")
        predictor = f"0.4 * f({self.column('t')})"
        self.data_lines["y"] = "data y[n] : Count^part"
        self.data["y"] = self.rng.multinomial(9, [0.2, 0.3, 0.5], self.n).astype(float)
        laws = (
            f"Multinomial(9, logits = {predictor})",
            f"DirichletMultinomial(exp({predictor}), 9)",
        )
        self.lines.append(f"y ~ {self.law(laws)}")

    def zero_sum(self) -> None:
        """Effects that add to zero, alone or for each group."""
        self.column("g")
        copies = self.pick(["", "c"])
        scale = self.positive_number("spread")
        self.lines.append("index kind = 1..3")
        self.lines.append(f"{f'even[{copies}]' if copies else 'even'} : ZeroSum(kind) ~ "
                          f"Normal(0, {scale})")  # fmt: skip
        even = self.rng.normal(size=(GROUPS, 3) if copies else (3,))
        self.values["even"] = even - even.mean(-1, keepdims=True)
        own = "even[g]" if copies else "even"
        self.lines.append(f"own = {own}")
        y = self.outcome("y", "Real", self.rng.normal(size=self.n))
        terms = " + ".join([f"own[2] * {self.column('w')}", *self.terms(1)])
        self.lines.append(f"{y} ~ {self.pick(['Normal', 'Laplace'])}({terms}, {self.noise()})")

    def covariances(self) -> None:
        self.lines += ["index part = 1..2", "Omega : Correlation(part) ~ LKJ(2)"]
        r = self.rng.uniform(-0.6, 0.6)
        self.values["Omega"] = np.array([[1, r], [r, 1]])
        self.lines.append("Sigma : Covariance(part) ~ Wishart(5, Omega)")
        root = np.tril(self.rng.uniform(0.5, 1.5, (2, 2)))
        self.values["Sigma"] = root @ root.T
        self.lines.append(f"f : Real -> Real^part ~ GP({self.kernel('f', smooth=True)})")
        t = self.column("t")
        self.data_lines["y"] = "data y[n] : Real^part"
        self.data["y"] = self.rng.normal(size=(self.n, 2))
        self.lines.append(f"y ~ MultivariateNormal(f({t}), Sigma)")

    # --- every law ---

    def eta(self) -> str:
        """A predictor of a size that keeps densities finite."""
        return f"(0.3 * ({' + '.join([self.curve(), *self.terms(0)])}))"

    def under(self, law: str, space: str, values: np.ndarray) -> None:
        y = self.outcome("y", space, values)
        s = self.positive_number("s") if "{s}" in law else ""
        self.lines.append(f"{y} ~ {law.format(eta=self.eta(), s=s)}")

    def law(self, laws: tuple[str, ...]) -> str:
        return laws[self.round % len(laws)]

    def real_laws(self) -> None:
        law = self.law(REAL_LAWS)
        space = "Circle" if law.startswith("VonMises") else "Real"
        self.under(law, space, self.rng.uniform(-2, 2, self.n))

    def positive_laws(self) -> None:
        self.under(self.law(POSITIVE_LAWS), "Positive", self.rng.uniform(0.3, 3, self.n))

    def count_laws(self) -> None:
        self.under(self.law(COUNT_LAWS), "Count", self.rng.poisson(2, self.n))

    def unit_laws(self) -> None:
        self.under(self.law(UNIT_LAWS), "Unit", self.rng.uniform(0.1, 0.9, self.n))

    # --- laws around laws ---

    def truncated(self) -> None:
        if self.chance(0.3):
            ends = self.pick(["high = 9", "low = 1", "low = 1, high = 9"])
            law = f"Truncated(Poisson(exp({{eta}})), {ends})"
            self.under(law, "Count", 1 + self.rng.integers(0, 6, self.n))
            return
        inner = self.pick(["Normal({eta}, {s})", "Logistic({eta}, {s})", "StudentT(4, {eta}, {s})"])
        ends = self.pick(["low = -2", "high = 3", "low = -2, high = 3", "low = -2 - {s}"])
        self.under(f"Truncated({inner}, {ends})", "Real", self.rng.uniform(-1.9, 2.9, self.n))

    def censored(self) -> None:
        inner = self.pick(
            ["Weibull(exp({eta}), {s})", "Gamma({s}, exp({eta}))", "LogNormal({eta}, {s})"]
        )
        for name in ("early", "late"):
            self.data_lines[name] = f"data {name}[n] : Bool"
        late = self.rng.integers(0, 2, self.n)
        self.data["late"] = late.astype(float)
        self.data["early"] = ((1 - late) * self.rng.integers(0, 2, self.n)).astype(float)
        sides = self.pick(["above = late", "below = early", "below = early, above = late"])
        for name in ("early", "late"):
            if name not in sides:
                del self.data_lines[name], self.data[name]
        self.under(f"Censored({inner}, {sides})", "Positive", self.rng.uniform(0.3, 3, self.n))

    def weighted(self) -> None:
        self.data_lines["worth"] = "data worth[n] : Positive"
        self.data["worth"] = self.rng.uniform(0.2, 2, self.n)
        if self.chance(0.5):
            values = self.rng.poisson(2, self.n)
            self.under("Weighted(Poisson(exp({eta})), worth)", "Count", values)
        else:
            self.under("Weighted(Normal({eta}, {s}), worth)", "Real", self.rng.normal(size=self.n))

    def transformed(self) -> None:
        law, space = self.pick(
            [
                ("Normal({eta}, {s}) |> exp", "Positive"),
                ("StudentT(4, {eta}, {s}) |> softplus", "Positive"),
                ("Logistic({eta}, {s}) |> logistic", "Unit"),
                ("Gamma({s}, exp({eta})) |> log", "Real"),
                ("BetaProportion(logistic({eta}), 2 + {s}) |> sqrt", "Unit"),
            ]
        )
        self.under(law, space, self.rng.uniform(0.2, 0.8, self.n))
