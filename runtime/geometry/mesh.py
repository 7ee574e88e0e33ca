"""Vertices and triangles into the waves of the surface that they make up.

Numbers: linear finite elements, the Laplacian of the cotangents of the angles over masses of a
third of the triangles around each vertex (Pinkall & Polthier 1993). Vectors: the connection of
Singer & Wu (2012) between the tangent planes at the vertices, edges weighing as for numbers. The
frequencies tend to those of the smooth surface, in units of its coordinates.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from scipy.sparse import bsr_matrix, coo_matrix, diags

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.geometry.extension import Extension
from mercer.runtime.geometry.proximity import components
from mercer.runtime.geometry.stored import digest, stored
from mercer.runtime.geometry.tangents import turns
from mercer.runtime.geometry.triangles import areas_and_normals, cotangents, nearest_on_surface
from mercer.runtime.geometry.waves import Waves, lowest_waves
from mercer.runtime.kept import Kept

_THIN = 1e-12
"""Of the square of its longest edge: a triangle of less area has no angles."""


class Mesh:
    """A surface of triangles in space; each part is made when it is first asked for.

    `vertices` [V, 3], `faces` [F, 3]: the numbers of their vertices, from 0. Vertices of no
    triangle take no part.

    Raises MercerError M437 where the triangles are none, M432 where the surface falls apart.
    """

    dim = 2

    def __init__(self, vertices: Any, faces: Any, *, modes: int, name: str) -> None:
        vertices, faces = np.asarray(vertices, float), np.asarray(faces, np.int64)
        self.name, self.modes = name, modes
        if vertices.ndim != 2 or vertices.shape[1] != 3:
            _refuse(f"the vertices of {name} have {vertices.shape[-1]} coordinates, not 3")
        if len(faces) == 0:
            _refuse(f"{name} has no faces")
        if faces.min() < 0 or faces.max() >= len(vertices):
            row = int(np.argmax((faces < 0).any(axis=1) | (faces >= len(vertices)).any(axis=1)))
            _refuse(
                f"face {row + 1} of {name} has a corner that is no vertex",
                why=f"there are {len(vertices)} vertices, numbered from 0",
            )
        used, compact = np.unique(faces, return_inverse=True)
        self.vertices, self.faces = vertices[used], compact.reshape(faces.shape)
        self.corners = self.vertices[self.faces]
        self.areas, self.face_normals = areas_and_normals(self.corners)
        edge = self.corners - np.roll(self.corners, 1, axis=1)
        self.longest = np.sqrt(np.max(np.sum(edge**2, axis=2), axis=1))
        if (thin := self.areas <= _THIN * self.longest**2).any():
            _refuse(f"face {int(np.argmax(thin)) + 1} of {name} has no area")
        first, second = self.faces.ravel(), np.roll(self.faces, 1, axis=1).ravel()
        sizes = components(first, second, len(self.vertices))
        if len(sizes) > 1:
            listed = ", ".join(str(s) for s in sizes[:5]) + (", ..." if len(sizes) > 5 else "")
            raise MercerError(
                [
                    Diagnostic(
                        "M432",
                        f"{name} falls into {len(sizes)} parts, of {listed} vertices",
                        why="no triangle joins them, so that nothing is known between them",
                        mend="give each part a mesh of its own, or leave out stray triangles",
                    )
                ]
            )

    @cached_property
    def key(self) -> str:
        """What its waves are known by, wherever they are kept."""
        return digest("Mesh", self.vertices, self.faces, self.modes)

    @property
    def points(self) -> np.ndarray:
        """Where its waves are known, [V, 3]."""
        return self.vertices

    @cached_property
    def edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Both ends of each edge, and its weight: half the cotangents of the angles across it."""
        weights = 0.5 * cotangents(self.corners, self.areas)
        ends = [np.roll(self.faces, -k, axis=1) for k in (1, 2)]
        low, high = np.minimum(*ends).ravel(), np.maximum(*ends).ravel()
        code, place = np.unique(low * len(self.vertices) + high, return_inverse=True)
        total = np.bincount(place, weights.ravel(), len(code))
        return code // len(self.vertices), code % len(self.vertices), total

    @cached_property
    def masses(self) -> np.ndarray:
        """The area that each vertex stands for, [V]."""
        return np.bincount(self.faces.ravel(), np.repeat(self.areas / 3, 3), len(self.vertices))

    @cached_property
    def normals(self) -> np.ndarray:
        """At the vertices, [V, 3]: the mean of those of the triangles around, by their areas."""
        total = np.zeros(self.vertices.shape)
        np.add.at(total, self.faces.ravel(), np.repeat(self.face_normals, 3, axis=0))
        size = np.linalg.norm(total, axis=1, keepdims=True)
        if (flat := size[:, 0] <= 1e-9 * self.masses).any():
            _refuse(
                f"the triangles around vertex {int(np.argmax(flat)) + 1} of {self.name} face "
                "every way, so that no plane touches it",
                mend="orient all triangles alike, and leave out those that lie on one another",
            )
        return total / size

    @cached_property
    def frames(self) -> np.ndarray:
        """Tangent frames at the vertices, [V, 3, 2]."""
        return _frames(self.normals)

    def laplacian(self) -> Any:
        """Of numbers, sparse [V, V]."""
        first, second, weight = self.edges
        size = (len(self.vertices),) * 2
        half = coo_matrix((weight, (first, second)), shape=size)
        joined = (half + half.T).tocsr()
        return diags(np.asarray(joined.sum(axis=1)).ravel()) - joined

    def connection_laplacian(self) -> Any:
        """Of vectors in the frames, sparse [2 V, 2 V].

        An edge across two angles that add up to more than 180 degrees would weigh less than
        nothing, and the energy of a field along it too: it counts as 0.
        """
        first, second, weight = self.edges
        weight, n = np.maximum(weight, 0.0), len(self.vertices)
        turn = turns(self.frames[first], self.frames[second])
        across = -weight[:, None, None] * turn
        degree = np.bincount(
            np.concatenate([first, second]), np.concatenate([weight, weight]), minlength=n
        )
        blocks = np.concatenate(
            [degree[:, None, None] * np.eye(2), across, np.swapaxes(across, 1, 2)]
        )
        row = np.concatenate([np.arange(n), first, second])
        column = np.concatenate([np.arange(n), second, first])
        order = np.argsort(row, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
        return bsr_matrix((blocks[order], column[order], start), shape=(2 * n, 2 * n))

    @cached_property
    def numbers(self) -> Waves:
        """The waves of numbers."""

        def make() -> Waves:
            laplacian = self.laplacian().tocsc()
            return lowest_waves(laplacian, self.masses, self.modes, roughness=1.0)

        return stored(self.key, "numbers", len(self.vertices), make)

    @cached_property
    def tangents(self) -> Waves:
        """The waves of tangent vectors, in the frames."""

        def make() -> Waves:
            laplacian = self.connection_laplacian().tocsc()
            return lowest_waves(laplacian, self.masses, self.modes, width=2, roughness=1.0)

        return stored(self.key, "tangents", 2 * len(self.vertices), make)

    def extension(self, points: Any) -> Extension:
        """Points [n, 3] of the surface by the corners of their triangles.

        Raises MercerError M435 where a point lies further away than its triangle is long.
        """
        points = np.asarray(points, float)
        found = nearest_on_surface(points, self.corners)
        if (far := found.distance > self.longest[found.face]).any():
            row = int(np.argmax(far))
            raise MercerError(
                [
                    Diagnostic(
                        "M435",
                        f"row {row + 1} is no point of {self.name}: it lies "
                        f"{found.distance[row]:.3g} away",
                        why="the longest edge of the nearest triangle is "
                        f"{self.longest[found.face[row]]:.3g}",
                        mend="leave the row out, or let the mesh reach there",
                    )
                ]
            )
        corner = self.faces[found.face]
        normal = np.einsum("nk,nkD->nD", found.shares, self.normals[corner])
        return Extension(corner, found.shares, _frames(normal))

    def numbers_at(self, points: Any) -> np.ndarray:
        """The waves of numbers at points [n, 3]: [n, k]."""
        return self.extension(points).numbers(self.numbers.values)

    def tangents_at(self, points: Any) -> np.ndarray:
        """The waves of tangent vectors at points [n, 3], in space: [n * 3, k]."""
        return self.extension(points).vectors(self.tangents.values, self.frames)

    def frames_at(self, points: Any) -> np.ndarray:
        """The tangent frames at points [n, D], as `tangents_at` has them: [n, D, d]."""
        return self.extension(points).frames


def _frames(normals: np.ndarray) -> np.ndarray:
    """Two unit vectors [n, 3, 2] across each of `normals` [n, 3], the smaller coordinates of which
    say where to start."""
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    axis = np.eye(3)[np.argmin(np.abs(normals), axis=1)]
    one = np.cross(normals, axis)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    return np.stack([one, np.cross(normals, one)], axis=2)


def _refuse(problem: str, *, why: str | None = None, mend: str | None = None) -> NoReturn:
    raise MercerError(
        [Diagnostic("M437", problem, why=why, mend=mend or "repair the mesh, or leave that out")]
    )


_KEPT: Kept[Mesh] = Kept(4)


def mesh(vertices: Any, faces: Any, *, modes: Any = 100, name: str = "the mesh") -> Mesh:
    """The mesh of vertices and faces; of the same ones, that made before."""
    points, corners = np.ascontiguousarray(vertices, float), np.ascontiguousarray(faces, np.int64)
    key = (digest(points, corners), int(modes), name)
    return _KEPT.get(key, lambda: Mesh(points, corners, modes=int(modes), name=name))
