"""Two columns of labels into the covariances between the labels' functions."""

from __future__ import annotations

import math
from typing import Any

from mercer.stdlib.entry import Parameter
from mercer.stdlib.kernels.word import kernel
from mercer.stdlib.lazy import jnp

_RANK = Parameter(
    "rank", "Count", 1.0, False, structural=True, least=1, doc="columns of the weights"
)
_WEIGHTS = Parameter(
    "weights",
    "Real",
    "coregion_weights",
    False,
    per_label=True,
    count="rank",
    doc="how each label follows the shared functions; one row a label",
)
_KAPPA = Parameter(
    "kappa",
    "Positive",
    "coregion_kappa",
    False,
    per_label=True,
    doc="the variance that is a label's own",
)
_SCALE = Parameter("scale", "Positive", 1.0, False, doc="1: the weights carry the magnitude")


@kernel(
    _RANK,
    _WEIGHTS,
    _KAPPA,
    _SCALE,
    formula="scale^2 * (weights weights' + diag(kappa))[x, z]",
    smoothness=math.inf,
    input="label",
    scaled=False,
)
def Coregion(a: Any, b: Any) -> Any:
    """Labels whose functions are weighted sums of `rank` shared ones (Goovaerts 1997).

    weights [S, rank], or [S] for rank 1, and kappa [S] or one for all S labels; x and z are the
    codes of labels.
    """
    left, right = jnp.asarray(a.x), jnp.asarray(b.x)
    weights = jnp.asarray(a.weights)
    weights = weights[:, None] if weights.ndim == 1 else weights  # of rank 1, without its column
    kappa = jnp.broadcast_to(jnp.asarray(a.kappa), weights.shape[:1])
    shared = weights[left] @ weights[right].T
    if left.ndim:
        own = jnp.where(left[:, None] == right, kappa[left][:, None], 0.0)
    else:
        own = jnp.where(left == right, kappa[left], 0.0)
    return a.scale**2 * (shared + own)
