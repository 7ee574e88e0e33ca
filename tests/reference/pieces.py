"""A random generator into the pieces of models: columns, priors, kernels.

Each writes its lines into the model, and keeps data and values for what it declares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

GROUPS, WIDTH = 3, 2
COLOURS = ("red", "green", "blue")
"""The labels of groups, where a model declares them."""


class Pieces:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.n = int(self.rng.choice([5, 7, 8]))
        self.data: dict[str, Any] = {}
        self.values: dict[str, Any] = {}
        self.data_lines: dict[str, str] = {}
        self.lines: list[str] = []
        self.count: dict[str, int] = {}
        self.declared = self.chance(0.3)  # whether the groups have names

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
        if name in ("g", "u") and self.declared:
            self.data_lines["c"] = f"index c = [{', '.join(map(repr, COLOURS))}]".replace("'", '"')
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
        array = np.asarray(array, float)  # a label by its code
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
