"""What shapes are made of, to be looked at: neighbours, frames, turns, masses, frequencies, waves.

    from mercer.geometry import manifold

    found = manifold(cloud, dim=2, modes=50)
    found.tangents.frequencies

The same objects stand behind a model's `Manifold`, `Mesh` and `Graph`; `fit.shapes` has them by
name. Each part is made when it is first asked for; waves are kept in the cache from then on.
"""

from mercer.runtime.geometry import Waves, graph, manifold, mesh
from mercer.runtime.geometry.singularities import Singularities, singularities

__all__ = ["Singularities", "Waves", "graph", "manifold", "mesh", "singularities"]
