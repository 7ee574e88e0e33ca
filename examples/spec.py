"""The `example.toml` of a folder turned into an `Example`: model, data, fit and pictures."""

from __future__ import annotations

import importlib.util
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Example:
    """A folder of examples.

    `data` are the files to fit, in the folder or written by its `data.py`; `held_out` one to
    predict and compare with. `columns` and `fit` are options of `mercer fit`. Each of `pictures`
    has a `kind`, a function of `examples.pictures`, and what this takes; the first stands for the
    example wherever it is listed.
    """

    name: str
    title: str
    shows: str
    data: tuple[str, ...]
    pictures: tuple[Mapping[str, Any], ...]
    held_out: str = ""
    columns: tuple[str, ...] = ()
    fit: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return HERE / self.name

    @property
    def model(self) -> Path:
        return self.folder / f"{self.name}.mercer"

    def write_data(self, folder: Path) -> None:
        """Puts all its data into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        script = self.folder / "data.py"
        if script.exists():
            spec = importlib.util.spec_from_file_location(f"examples.{self.name}.data", script)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            module.write(folder)
        for path in self.folder.glob("*.csv"):
            shutil.copy(path, folder)


def example(name: str) -> Example:
    """The example in the folder `name`. ValueError where there is none."""
    path = HERE / name / "example.toml"
    if not path.exists():
        raise ValueError(f"name: one of {', '.join(names())} is wanted, got {name!r}")
    return _read(path)


def names() -> list[str]:
    """All examples, in the order in which they should be read."""
    order = tomllib.loads((HERE / "order.toml").read_text(encoding="utf-8"))
    return list(order["examples"])


def _read(path: Path) -> Example:
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    pictures = tuple(entries.pop("picture"))
    listed = {key: tuple(entries.pop(key, ())) for key in ("data", "columns")}
    return Example(name=path.parent.name, pictures=pictures, **listed, **entries)
