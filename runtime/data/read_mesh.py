"""A file of triangles (OBJ, PLY, STL, OFF) turned into a `Table` of vertices and faces.

Read by trimesh, which gives corners that are one point one number, as files of STL need.
"""

from __future__ import annotations

import io
import logging
from importlib.util import find_spec
from typing import Any

import numpy as np

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.data.datafile import File, fail
from mercer.runtime.data.frames import Table


def read_mesh(file: File) -> Table:
    """`vertices` [v, 3] and `faces` [f, 3], counted from 0."""
    if find_spec("trimesh") is None:
        fail(
            "M509",
            f"{file.name} cannot be read without trimesh, which is not installed",
            mend="pip install 'mercer[mesh]'",
        )
    import trimesh

    logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # what it has to say is said here
    kind = file.path.suffix.lower().lstrip(".")
    try:
        load: Any = trimesh.load
        found = load(io.BytesIO(file.content()), file_type=kind, force="mesh", process=True)
        vertices = np.asarray(found.vertices, float)
        faces = np.asarray(found.faces, np.int64)
    except MercerError:
        raise
    except Exception:  # of its parsers, and of NumPy's inside them, which speak of arrays
        fail(
            "M421",
            f"{file.name} is no whole file of triangles",
            why=f"it is cut short, or not of the kind that `.{kind}` says.",
            mend="write it again from the program that made it",
        )
    if len(faces) == 0:
        fail("M411", f"{file.name} holds no triangles", mend="a cloud of points is a `Manifold`")
    if not np.isfinite(vertices).all():
        fail("M421", f"{file.name} has vertices that are no numbers", mend="write it again")
    return Table(file.name, {"vertices": vertices, "faces": faces}, is_frame=False)
