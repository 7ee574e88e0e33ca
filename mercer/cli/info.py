"""What this installation is, as a dict of plain values."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

_PACKAGES = (
    "jax",
    "jaxlib",
    "numpyro",
    "arviz",
    "numpy",
    "scipy",
    "xarray",
    "pandas",
    "pyarrow",
    "lark",
)


def information() -> dict[str, Any]:
    """Versions, devices and folders. Imports JAX, to ask it for its devices."""
    import jax

    import mercer
    from mercer.runtime.cache import use_cache

    use_cache()
    return {
        "mercer": mercer.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "devices": [str(device) for device in jax.devices()],
        "cache": str(jax.config.values.get("jax_compilation_cache_dir") or "off"),
        "folder": os.path.dirname(os.path.abspath(mercer.__file__)),
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
