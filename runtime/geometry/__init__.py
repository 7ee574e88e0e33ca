"""Points, edges and triangles into the waves of a shape: frequencies, and values at points.

Pure host work in NumPy and SciPy, done once by `prepare`. A *wave* is an eigenfunction of the
Laplacian of a shape; a Gaussian field on the shape is a sum of waves with independent Gaussian
weights, so that what engines see is a linear regression.
"""

from mercer.runtime.geometry.graphs import graph
from mercer.runtime.geometry.manifold import manifold
from mercer.runtime.geometry.mesh import mesh
from mercer.runtime.geometry.waves import Waves

__all__ = ["Waves", "graph", "manifold", "mesh"]
