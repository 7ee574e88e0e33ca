"""What is installed: every package once, its data with it, and nothing but `mercer` importable."""

import importlib.metadata
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("dsl", "compiler", "runtime", "stdlib")
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def folders_with_python() -> set[str]:
    """The packages that the tree holds, by their dotted names."""
    found = {"mercer"}
    for path in (ROOT / "mercer").rglob("*.py"):
        inside = path.relative_to(ROOT / "mercer").parts[:-1]
        if inside and inside[0] not in ROOMS:
            found.add(".".join(("mercer", *inside)))
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            found.add(".".join(("mercer", *path.relative_to(ROOT).parts[:-1])))
    return found


def test_the_list_of_packages_is_complete() -> None:
    assert set(CONFIG["packages"]) == folders_with_python()
    assert set(CONFIG["package-dir"]) == set(CONFIG["packages"])


def test_each_package_is_mapped_to_its_folder() -> None:
    for package, folder in CONFIG["package-dir"].items():
        words = package.split(".")
        inside = words[1:] if len(words) > 1 and words[1] in ROOMS else words
        assert folder == "/".join(inside)


def test_links_for_static_tools_lead_to_the_rooms() -> None:
    for room in ROOMS:
        link = ROOT / "mercer" / room
        assert os.readlink(link) == f"../{room}"


def test_pyright_names_every_link() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    assert {f"mercer/{room}" for room in ROOMS} <= set(config["include"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from what the sdist holds, so that both are seen to be whole."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in filter(None, tracked.split("\0")):
        origin, target = ROOT / name, source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_symlink():
            target.symlink_to(os.readlink(origin))
        elif origin.is_file():
            target.write_bytes(origin.read_bytes())
    build = (
        "from setuptools import build_meta; import sys; print(build_meta.build_sdist(sys.argv[1]))"
    )
    subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=source, check=True, capture_output=True
    )
    (sdist,) = folder.glob("*.tar.gz")
    # An old setuptools cannot build wheels by itself: let pip fetch a newer one.
    version = int(importlib.metadata.version("setuptools").split(".")[0])
    isolation = ["--no-build-isolation"] if version >= 71 else []
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *isolation, "-w", folder, sdist],
        check=True,
        capture_output=True,
    )
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_every_file_of_every_package_once(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = [name for name in names if ".dist-info/" not in name]
    assert len(names) == len(set(names))
    wanted = set()
    for package, folder in CONFIG["package-dir"].items():
        for path in (wheel.parent / "source" / folder).iterdir():
            if path.suffix in (".py", ".lark", ".json", ".html") or path.name == "py.typed":
                wanted.add(f"{package.replace('.', '/')}/{path.name}")
    assert set(inside) == wanted


def test_only_mercer_is_importable(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    top = {path.name for path in (tmp_path / "site").iterdir() if path.suffix != ".dist-info"}
    assert top == {"mercer"}
    look = (
        "import importlib.util as u, mercer;"
        "print(mercer.__file__);"
        f"print([n for n in {ROOMS} if u.find_spec(n) is not None])"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    ran = subprocess.run(
        [sys.executable, "-c", look],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    place, importable = ran.stdout.splitlines()
    assert Path(place).is_relative_to(tmp_path)
    assert importable == "[]"


def test_the_installed_wheel_checks_a_model(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    model = tmp_path / "model.mercer"
    model.write_text("data y[n] : Real\nmu ~ Normal(0, 1)\ny ~ Normal(mu, 1)\n")
    ran = subprocess.run(
        [sys.executable, "-m", "mercer", "check", str(model)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout) == (0, f"{model}: ok\n"), ran.stderr
