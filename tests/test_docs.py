"""The documentation shows what there is: every word of the library, models that compile."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import mercer
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
