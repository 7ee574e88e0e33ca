"""Compiled programs kept between processes: fitting a model and shapes again compiles nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import jax


def cache_folder() -> Path:
    """`MERCER_CACHE_DIR`, else the platform's place for caches."""
    chosen = os.environ.get("MERCER_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mercer"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "mercer" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mercer"


def use_cache() -> None:
    """Turns JAX's persistent cache on, unless the user has set one; without a folder, none."""
    is_set = bool(getattr(jax.config, "jax_compilation_cache_dir", None))
    if is_set or os.environ.get("MERCER_CACHE_DIR") == "":
        return
    folder = cache_folder() / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Everything: a fit runs many small programs, whose compilation adds up.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
