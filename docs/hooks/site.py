"""The library and the examples turned into pages when the site is built: a hook of MkDocs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]


def on_files(files: Files, config: Any) -> Files:
    """Adds every page that is made rather than written."""
    for place, content in pages().items():
        files.append(File.generated(config, place, content=content))
    return files


def pages() -> dict[str, str | bytes]:
    """The generated files by their place in the site."""
    # The examples and the modules beside this one are not installed.
    sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
    import catalog_pages
    from gallery_pages import gallery
    from kernel_pictures import kernel_pictures

    pictures = kernel_pictures()
    return {
        "kernels.md": catalog_pages.kernels_page(pictures),
        "distributions.md": catalog_pages.distributions_page(),
        "functions.md": catalog_pages.functions_page(),
        "spaces.md": catalog_pages.spaces_page(),
        "methods.md": catalog_pages.methods_page(),
        "default_priors.md": catalog_pages.defaults_page(),
        **{f"kernels/{name}.png": png for name, png in pictures.items()},
        **gallery(),
    }
