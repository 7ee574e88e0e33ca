"""The table of rooms: who may import whom, held by a walk over every import statement."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    "dsl": set[str](),
    "stdlib": {"dsl"},
    "compiler": {"dsl", "stdlib"},
    "runtime": {"dsl", "stdlib"},
    "mercer": {"dsl", "stdlib", "compiler", "runtime", "mercer"},
}
WITHOUT_JAX = {"jax", "numpyro", "jaxtyping", "equinox", "optax"}


def files_of(room: str) -> Iterator[Path]:
    for path in sorted((ROOT / room).rglob("*.py")):
        # The links inside mercer/ lead to the other rooms.
        if room != "mercer" or path.relative_to(ROOT / room).parts[0] not in ROOMS:
            yield path


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def room_of(module: str) -> str | None:
    words = module.split(".")
    if words[0] != "mercer":
        return None
    return words[1] if len(words) > 1 and words[1] in ROOMS else "mercer"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files_of(room)
        for line, module in imports_of(path)
        if (other := room_of(module)) is not None
        and other != room
        and other not in ROOMS[room]
        and module != "mercer"
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_imports_are_absolute_and_through_mercer(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files_of(room)
        for line, module in imports_of(path)
        if module.startswith(".") or module.split(".")[0] in set(ROOMS) - {"mercer"}
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ["dsl", "compiler"])
def test_the_language_and_the_compiler_never_import_jax(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files_of(room)
        for line, module in imports_of(path)
        if module.split(".")[0] in WITHOUT_JAX
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_import_is_declared(room: str) -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {text.split(">")[0].split("[")[0].lower() for text in project["dependencies"]}
    known = declared | set(sys.stdlib_module_names) | {"mercer"}
    known |= {"mpl_toolkits"}  # a part of matplotlib
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files_of(room)
        for line, module in imports_of(path)
        if not module.startswith(".")
        and module.split(".")[0].lower() not in known
        # Peers that a user may or may not have, each imported inside the one place that uses it.
        and module.split(".")[0]
        not in {"IPython", "netCDF4", "plotly", "pyarrow", "sklearn", "trimesh"}
    ]
    assert wrong == []
