"""Each mistake of names and types has its code and its exact place; one mistake is told once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mercer.compiler.check import compile_front
from mercer.compiler.codes import TITLES
from mercer.dsl.diagnostic import MercerError

XY = "data x[n], y[n] : Real\n"
PLACE = "data s[n] : Real^2\ndata t[n], y[n] : Real\n"
LABELS = "data g[n] : Label(s)\ndata y[n] : Real\n"

MISTAKES: list[tuple[str, str, int, int]] = [
    (XY + "y ~ Normal(levle, 1)\nlevel ~ Normal(0, 1)\n", "M201", 2, 12),
    (XY + "a ~ Normal(0,1)\na ~ Normal(0,2)\n", "M205", 3, 1),
    ("data y[n] : Real\ndata y[n] : Real\ny ~ Normal(0,1)\n", "M202", 2, 6),
    (XY + "a = b + 1\nb = a * 2\n", "M203", 2, 1),
    (
        "data x[n] : Real^d\n"
        "data y[n] : Real\n"
        "h : Real^d -> Real^inf ~ GP(RBF(), nu = 10)\n"
        "f : Real^inf -> Real ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 1)))\n"
        "y ~ Normal(f(h(x)), 1)\n",
        "M204",
        4,
        31,
    ),
    (XY + "y ~ Normal(0, 1)\ny ~ Normal(1, 1)\n", "M205", 3, 1),
    (XY + "y = x + 1\n", "M206", 2, 1),
    (XY + "theta[school] ~ Normal(0, 1)\n", "M207", 2, 7),
    ("data n[n] : Real\n", "M208", 1, 8),
    ("data x[n] : Rael\n", "M209", 1, 13),
    (XY + "f ~ GP(RBF(lengthscle ~ LogNormal(0,1)))\ny ~ Normal(f(x), 1)\n", "M210", 2, 12),
    (XY + "y ~ Normal(0, 1, 2)\n", "M211", 2, 18),
    (XY + "y ~ Normal(0, 1, scale = 2)\n", "M212", 2, 18),
    (XY + "y ~ Normal(0, scale = 1, scale = 2)\n", "M212", 2, 26),
    (XY + "y ~ Poisson()\n", "M213", 2, 5),
    (XY + "y ~ Nromal(0, 1)\n", "M214", 2, 5),
    (XY + "f ~ GP(RBF(lengthscale = LogNormal(0,1)))\ny ~ Normal(f(x), 1)\n", "M215", 2, 26),
    (
        XY + "f ~ GP(RBF(lengthscale ~ LogNormal(0,1)) + RBF(lengthscale ~ LogNormal(2,1)))\n"
        "y ~ Normal(f(x), 1)\n",
        "M216",
        2,
        12,
    ),
    (LABELS + "a[s] ~ Normal(0,1)\ny ~ Normal(a, 1)\n", "M217", 4, 12),
    (XY + "y ~ Poisson(exp(x))\n", "M218", 2, 1),
    (XY + "k : Count ~ Normal(0, 1)\n", "M219", 2, 13),
    (XY + "s ~ Normal(0, 1)\ny ~ Normal(0, s)\n", "M220", 3, 15),
    (XY + "s ~ Normal(0, 1)\ny ~ Normal(sqrt(s), 1)\n", "M220", 3, 17),
    (XY + "f : Real^2 -> Real ~ GP(RBF())\ny ~ Normal(f(x), 1)\n", "M221", 3, 14),
    (XY + 'f ~ GP(RBF())\ny ~ Normal(f(x) + f("x"), 1)\n', "M221", 3, 21),
    (XY + "f : Real * Real -> Real ~ GP(RBF())\ny ~ Normal(f(x, x, x), 1)\n", "M222", 3, 12),
    (XY + "f ~ GP(RBF())\n", "M223", 2, 1),
    (
        "data x[n] : Real\n"
        "data z[n] : Real^d\n"
        "data y[n] : Real\n"
        "f ~ GP(RBF())\n"
        "y ~ Normal(f(x) + f(z), 1)\n",
        "M224",
        4,
        1,
    ),
    (XY + "a ~ Normal(0,1)\ny ~ Normal(a(x), 1)\n", "M225", 3, 12),
    (XY + "f ~ GP(RBF())\ny ~ Normal(f(x) + f, 1)\n", "M226", 3, 19),
    (XY + "f ~ GP(Matern32())\ny ~ Normal(Laplacian(f)(x), 1)\n", "M227", 3, 12),
    (
        PLACE + "f : (place: Real^2, time: Real) -> Real ~ GP(RBF())\ny ~ Normal(f(s, t), 1)\n",
        "M228",
        3,
        46,
    ),
    (
        PLACE
        + "f : (place: Real^2, time: Real) -> Real ~ GP(RBF()[place])\ny ~ Normal(f(s, t), 1)\n",
        "M228",
        3,
        46,
    ),
    (LABELS + "f ~ GP(RBF())\ny ~ Normal(f(g), 1)\n", "M229", 3, 8),
    (LABELS + "a[s] ~ Normal(0,1)\ny ~ Normal(a[y], 1)\n", "M231", 4, 14),
    (LABELS + "y ~ Normal(2 * g, 1)\n", "M232", 3, 16),
    ("data y[t] : Real\ny ~ Normal(y[t + 1], 1)\n", "M233", 2, 14),
    ("data y[t] : Real\nz[t] ~ Normal(z[t - 1], 1)\ny ~ Normal(z, 1)\n", "M234", 2, 8),
    (
        XY + "h : Real -> Real^inf ~ GP(RBF())\n"
        "f : Real^inf -> Real ~ GP(Periodic())\n"
        "y ~ Normal(f(h(x)), 1)\n",
        "M235",
        3,
        27,
    ),
    (XY + "a ~ Normal(0,1)\nb = a + x\nb ~ Normal(0,1)\n", "M237", 4, 1),
    ('use "../x.mercer"\ndata x[n], y[n] : Real\ny ~ Normal(0,1)\n', "M238", 1, 1),
    (XY + "infer f by NUTS()\ny ~ Normal(0,1)\n", "M241", 2, 7),
    (XY + "infer NTUS()\ny ~ Normal(0,1)\n", "M241", 2, 7),
    (XY + "p ~ Dirichlet(1)\n", "M242", 2, 1),
    (
        "def a(x) = b(x)\ndef b(x) = a(x)\ndata x[n], y[n] : Real\ny ~ Normal(a(1), 1)\n",
        "M243",
        1,
        5,
    ),
    ("def a(x) = x\ndata x[n], y[n] : Real\ny ~ Normal(a(1, 2), 1)\n", "M244", 3, 12),
    (XY + "y ~ Normal(0, -1)\n", "M245", 2, 15),
    (XY + "y ~ Normal(sum(x, k), 1)\n", "M246", 2, 19),
    (XY + "m[n] = [1, 2]\nindex k = 1..3\nw[k] = [1, 2]\n", "M247", 4, 8),
    (XY + "f : Real -> Positive ~ GP(RBF())\ny ~ Normal(f(x),1)\n", "M248", 2, 24),
    (XY + "f : Real ~ GP(RBF())\ny ~ Normal(f,1)\n", "M214", 2, 12),
    (XY + "f ~ GP(Matern(nu = x))\ny ~ Normal(f(x),1)\n", "M249", 2, 20),
    (
        'index k = ["a", "b"]\ndata x[n], y[n] : Real\nm[k] ~ Normal(0,1)\ny ~ Normal(m["c"], 1)\n',
        "M250",
        4,
        14,
    ),
    (XY + "y ~ Normal(x, 1) |> sin\n", "M252", 2, 5),
    ("index k = 3..1\ndata x[n], y[n] : Real\n", "M253", 1, 11),
    (XY + "y ~ Bernoulli(0.5)\n", "M218", 2, 1),
    ("data y[n] : Unit\nmu ~ Normal(0,1)\ny ~ Beta(mu, 1)\n", "M220", 3, 10),
    (XY + "y ~ GP(RBF())\n", "M214", 2, 5),
    (XY + "y ~ x + 1\n", "M214", 2, 5),
    (
        'index s = ["a"]\n'
        "data g[n] : Label(s)\n"
        "data x[n], y[n] : Real\n"
        'y ~ Normal(1 * (g == "b"), 1)\n',
        "M250",
        4,
        22,
    ),
    (
        "data x[n] : Real^d\n"
        "data y[n] : Real\n"
        "h : Real^d -> Real^2 ~ GP(RBF())\n"
        "f : Real^3 -> Real ~ GP(RBF())\n"
        "y ~ Normal(f(h(x)), 1)\n",
        "M221",
        5,
        14,
    ),
    (
        XY + "f ~ Linear()\ny ~ Normal(f(x) + D(f)(x), 1)\n",
        "M236",
        3,
        21,
    ),
    (
        XY + "f : Real -> Real^k ~ GP(RBF())\ny ~ Normal(sum(f(x), k), 1)\n",
        "M207",
        2,
        18,
    ),
    (
        XY + "nu[t] = nu[t - 1] + 1\ny ~ Normal(x, 1)\n",
        "M207",
        2,
        4,
    ),
    (
        "data y[t] : Real\nmu = 0.5 * mu[t - 1] else 0\ny ~ Normal(mu, 1)\n",
        "M231",
        2,
        15,
    ),
    (
        XY + "p : Simplex(k) ~ Dirichlet(1)\ny ~ Normal(x, 1)\n",
        "M207",
        2,
        13,
    ),
    (
        XY + "y[k] ~ Normal(0, 1)\n",
        "M247",
        2,
        1,
    ),
    (
        XY + "a : Real -> Real ~ Normal(0, 1)\ny ~ Normal(a(x), 1)\n",
        "M214",
        2,
        20,
    ),
    (
        XY + "a = RBFF()\nf ~ GP(a)\ny ~ Normal(f(x), 1)\n",
        "M201",
        2,
        5,
    ),
    (
        XY + "f ~ GP(RBF(), mean = x)\ny ~ Normal(f(x), 1)\n",
        "M217",
        2,
        22,
    ),
    (
        XY + "y ~ Normal(loc = 0, sclae = 1)\n",
        "M210",
        2,
        21,
    ),
    (
        "data y[n] : Count\nf ~ Normal(0, 1)\ny ~ Poisson(f)\n",
        "M220",
        3,
        13,
    ),
    (
        "data k[n] : Count\n"
        "data e[n] : Real\n"
        "f ~ GP(RBF())\n"
        "data x[n] : Real\n"
        "k ~ Poisson(e * exp(f(x)))\n",
        "M220",
        5,
        13,
    ),
    (
        "data y[n] : Label(k)\ny ~ Categorical(0.5)\n",
        "M251",
        2,
        17,
    ),
    (
        XY + "infer f.lengthscal by MAP\nf ~ GP(RBF())\ny ~ Normal(f(x), 1)\n",
        "M241",
        2,
        7,
    ),
]


def mistakes(text: str, folder: Path | None = None) -> list[tuple[str, int, int]]:
    with pytest.raises(MercerError) as caught:
        compile_front(text, "model.mercer", folder)
    found = []
    for diagnostic in caught.value.diagnostics:
        assert diagnostic.span is not None
        found.append((diagnostic.code, diagnostic.span.line, diagnostic.span.column))
    return found


@pytest.mark.parametrize(("text", "code", "line", "column"), MISTAKES)
def test_a_mistake_is_told_once_at_its_place(text: str, code: str, line: int, column: int) -> None:
    assert mistakes(text) == [(code, line, column)]


def test_independent_mistakes_are_told_together() -> None:
    text = XY + "a ~ Normal(0, 1, 2)\nb ~ Nromal(0, 1)\ny ~ Normal(levle + x + a + b, sdd)\n"
    codes = [code for code, _, _ in mistakes(text)]
    assert codes == ["M211", "M214", "M201", "M201"]


def test_what_depends_on_a_mistake_is_not_told_again() -> None:
    text = XY + "a = undefined + 1\nb = a * 2\ny ~ Normal(b + a, 1)\n"
    assert mistakes(text) == [("M201", 2, 5)]


def test_a_line_that_does_not_parse_takes_its_name_with_it() -> None:
    assert [c for c, _, _ in mistakes(XY + "a = (1 + 2\n\ny ~ Normal(a, 1)\n")] != ["M201"]


def test_every_code_has_its_own_title() -> None:
    assert len(set(TITLES.values())) == len(TITLES)


@pytest.mark.parametrize("path", ["../x.mercer", "/etc/passwd", "a/../../x.mercer", "C:/x.mercer"])
def test_a_file_outside_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    text = f'use "{path}"\n' + XY + "y ~ Normal(0, 1)\n"
    assert mistakes(text, tmp_path) == [("M238", 1, 1)]


def test_a_link_that_leads_outside_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.mercer"
    outside.write_text("def K() = RBF()\n")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "inside.mercer").symlink_to(outside)
    text = 'use "inside.mercer"\n' + XY + "f ~ GP(K())\ny ~ Normal(f(x), 1)\n"
    assert mistakes(text, folder) == [("M238", 1, 1)]


def test_a_used_file_may_hold_only_abbreviations(tmp_path: Path) -> None:
    (tmp_path / "k.mercer").write_text("def K() = RBF()\ndata z[n] : Real\n")
    text = 'use "k.mercer"\n' + XY + "y ~ Normal(x, 1)\n"
    assert mistakes(text, tmp_path) == [("M240", 2, 1)]


def test_the_message_of_an_infinite_domain_is_that_of_the_language() -> None:
    text = (
        "data x[n] : Real^d\ndata y[n] : Real\nnoise ~ HalfNormal(1)\n"
        "h : Real^d -> Real^inf ~ GP(RBF(), nu = 10)\n\n"
        "f : Real^inf -> Real ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 1)))\n"
        "y ~ Normal(f(h(x)), noise)\n"
    )
    with pytest.raises(MercerError) as caught:
        compile_front(text, "deep.mercer")
    assert str(caught.value) == (
        "deep.mercer:6:31  error M204: a lengthscale for each coordinate needs a finite domain\n"
        "  |\n"
        "6 | f : Real^inf -> Real ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 1)))\n"
        "  |                               ^^^^^^^^^^^^^^\n"
        "  = h has infinite width, so its output has no coordinates, only a Gram matrix.\n"
        "  = write one shared lengthscale: RBF(lengthscale ~ LogNormal(0, 1))"
    )
