"""The documentation shows what there is: every word of the library, models that compile."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import yaml

import mercer
from examples.spec import example
from mercer.stdlib import catalog

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PEERS = ("stan", "pymc", "gpytorch", "gpjax")


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    sys.path.insert(0, str(DOCS / "hooks"))
    try:
        import catalog_pages
    finally:
        sys.path.remove(str(DOCS / "hooks"))
    return catalog_pages


def test_every_kernel_stands_on_its_page_with_all_its_arguments(pages: ModuleType) -> None:
    text = pages.kernels_page(("RBF",))
    for entry in catalog.kernels().values():
        section = re.search(rf"^## {entry.name}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
        assert section is not None and entry.doc.splitlines()[0] in section[1]
        assert all(f"| `{p.name}` |" in section[1] for p in entry.parameters)
        assert ("no engine yet" in section[1]) == (not entry.runs and not entry.on_shapes)
    assert text.count("![Draws of RBF]") == 1 and "![Draws of Matern12]" not in text


def test_every_distribution_function_and_method_stands_on_a_page(pages: ModuleType) -> None:
    distributions, functions = pages.distributions_page(), pages.functions_page()
    for name, entry in catalog.distributions().items():
        assert f"\n## {name}\n" in distributions and f"Support `{entry.support}`" in distributions
    for name in catalog.priors():
        assert f"\n### {name}\n" in functions
    for name in ("exp", "where", "lgamma", *catalog.reductions()):
        assert f"| `{name}` |" in functions
    assert "| `add` |" not in functions
    assert all(f"\n## {name}\n" in pages.methods_page() for name in catalog.methods())
    assert all(f"`{e.law}`" in pages.defaults_page() for e in catalog.defaults().values())
    assert all(f"| `{name}` |" in pages.spaces_page() for name in catalog.spaces())


def test_a_signature_shows_default_priors_as_a_model_would_write_them(pages: ModuleType) -> None:
    text = pages.kernels_page(())
    assert "RBF(lengthscale ~ LogNormal(log(input), 1), scale ~ HalfNormal(outcome))" in text
    assert "Polynomial(degree, lengthscale ~" in text


@pytest.mark.parametrize("path", sorted((DOCS / "peers").glob("*.mercer")), ids=lambda p: p.stem)
def test_a_model_beside_its_peers_compiles_and_each_peer_is_shown(path: Path) -> None:
    model = mercer.load(path)
    assert "def model(" in model.source
    page = (DOCS / "coming_from.md").read_text(encoding="utf-8")
    beside = [p for p in path.parent.glob(f"{path.stem}[._]*") if p != path]
    assert len(beside) >= 2
    for peer in [path, *beside]:
        assert f'--8<-- "peers/{peer.name}"' in page


def test_every_page_that_is_written_stands_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    navigation = str(yaml.safe_load(text)["nav"])
    for page in DOCS.glob("*.md"):
        assert page.name in navigation


# --- what the pages show ----------------------------------------------------------------------

MODELS_SHOWN = [
    pytest.param(text, id=f"{path.name}-{number}")
    for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
    for number, text in enumerate(
        re.findall(
            r"^```(?:mercer)?(?: title=.*)?\n(.*?)^```", path.read_text("utf-8"), re.S | re.M
        )
    )
    if re.search(r"^(data|index|def|%%mercer) |~", text, re.M) and "error M" not in text
]


@pytest.mark.parametrize("text", MODELS_SHOWN)
def test_a_model_on_a_page_parses_and_a_whole_one_compiles(text: str) -> None:
    """A piece of a model names what it leaves out (M201), and has no other mistake."""
    text = re.sub(r"^%%mercer \w+\n", "", text)
    if '--8<-- "' in text:
        text = (DOCS / re.findall(r'--8<-- "(.*?)"', text)[0]).read_text("utf-8")
    try:
        assert "def model(" in mercer.compile(text).source
    except mercer.MercerError as error:
        assert {problem.code for problem in error.diagnostics} <= {"M201"}, str(error)


def test_an_error_on_a_page_is_the_one_that_is_shown() -> None:
    """The message of the README, word by word, from its model."""
    text = (ROOT / "README.md").read_text("utf-8")
    shown = re.search(r"^```\n(deep\.mercer:.*?)^```", text, re.S | re.M)
    assert shown is not None
    line = re.search(r"^6 \| (.*)$", shown[1], re.M)
    model = "h : Real^d -> Real^inf ~ GP(RBF(), nu = 10)\ndata x[n] : Real^d\ndata y[n] : Real\n"
    assert line is not None
    model = f"{model}\ny ~ Normal(f(h(x)), 1)\n{line[1]}\n"
    with pytest.raises(mercer.MercerError) as caught:
        mercer.compile(model)
    assert str(caught.value).split(" ", 1)[1].strip() == shown[1].split(" ", 1)[1].strip()


@pytest.fixture(scope="module")
def typed() -> dict[str, set[str]]:
    """Of each command, the options that it knows."""
    from typer.main import get_command

    from mercer.cli.app import app, run

    assert run(["--version"]) == 0  # registers the commands
    group: Any = get_command(app)
    return {
        name: {option for p in command.params for option in p.opts}
        for name, command in group.commands.items()
    }


PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("examples/*/README.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_command_on_a_page_exists_with_its_options(
    path: Path, typed: dict[str, set[str]]
) -> None:
    for line in re.findall(r"^    mercer (.*)$", path.read_text("utf-8"), re.M):
        command, *words = line.split()
        assert command in typed, line
        for word in words:
            if word.startswith("-"):
                assert word.split("=")[0] in typed[command], line


@pytest.mark.parametrize("path", PAGES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_script_and_folder_that_a_page_names_is_there(path: Path) -> None:
    text = path.read_text("utf-8")
    for name in re.findall(r"(?:python |`)((?:benchmarks|examples|tests|docs)/[\w/.]+\w)", text):
        assert (ROOT / name).exists(), name


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_python_on_a_page_runs_as_it_stands(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the model and a hundred rows of its data."""
    block = re.search(r"^( *)```python\n(.*?)^\1```", (ROOT / page).read_text("utf-8"), re.S | re.M)
    assert block is not None
    co2 = example("co2")
    co2.write_data(tmp_path)
    table = pd.read_csv(tmp_path / "co2.csv")
    table.iloc[:: len(table) // 100].to_csv(tmp_path / "co2.csv", index=False)
    shutil.copy(co2.model, tmp_path / "co2.mercer")
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(textwrap.dedent(block[2]), found)
    assert (tmp_path / "co2.nc").is_file()
    rows = mercer.open(tmp_path / "co2.nc").predict({"t": [2002.0, 2002.5]})
    pd.testing.assert_frame_equal(
        rows.table(), found["fit"].predict({"t": [2002.0, 2002.5]}).table()
    )
