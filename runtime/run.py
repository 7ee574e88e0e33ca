"""An emitted program and its data turned into a `Fit`."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from mercer.runtime.cache import use_cache
from mercer.runtime.density import Density, arguments_of
from mercer.runtime.diagnose import diagnose
from mercer.runtime.draws import Draws
from mercer.runtime.fit import Fit
from mercer.runtime.inference import Method
from mercer.runtime.map import run_map
from mercer.runtime.nuts import run_nuts
from mercer.runtime.posterior import complete, inference_data
from mercer.runtime.progress import watched
from mercer.runtime.svi import run_svi

_OPTIONS = {
    "nuts": ("init", "target", "depth", "chain_method"),
    "map": ("restarts", "iterations"),
    "svi": ("steps", "rate", "guide"),
}


def run(
    program: ModuleType,
    bound: Any,
    *,
    method: Method | None = None,
    seed: int = 0,
    chains: int = 4,
    warmup: int = 500,
    draws: int = 500,
    progress: bool | None = None,
    bind: Callable[[Any, Any], Any] | None = None,
    model_source: str = "",
    plan_text: str = "",
    **options: Any,
) -> Fit:
    """The posterior of `program` given `bound`.

    `method` None: the one of the program. `bind(new, fitted)` binds new data for predictions.
    `options` are those of the method; the model's own (`infer nuts(target = 0.95)`) come first
    and are replaced by what is given here. Same seed, same draws.
    """
    use_cache()
    by: Method = method or program.INFERENCE.method
    known = {k: v for m in _OPTIONS.values() for k in m if (v := _setting(program, k)) is not None}
    chosen = {k: v for k, v in {**known, **options}.items() if k in _OPTIONS[by]}
    unknown = set(options) - {k for m in _OPTIONS.values() for k in m}
    if unknown:
        raise ValueError(f"options: {by} takes {', '.join(_OPTIONS[by])}, got {sorted(unknown)}")
    seed = int(_setting(program, "seed", seed) if seed == 0 else seed)
    arguments = arguments_of(program, bound)

    def infer() -> Draws:
        density = Density(program, arguments, seed=seed)
        if not density.has_unknowns:
            found = Draws({}, chains, draws)
        elif by == "nuts":
            found = run_nuts(
                density, seed=seed, chains=chains, warmup=warmup, draws=draws, **chosen
            )
        elif by == "map":
            found = run_map(density, seed=seed, chains=chains, draws=draws, **chosen)
        else:
            found = run_svi(density, seed=seed, chains=chains, draws=draws, **chosen)
        return found

    def assemble() -> Any:
        return complete(program, arguments, found, seed=seed)

    text = f"sampling {chains} chains of {warmup} + {draws}" if by == "nuts" else f"fitting by {by}"
    found = watched(text, infer, progress=progress)
    groups = watched("drawing what was integrated out", assemble, progress=progress)
    settings = {
        "method": by,
        "seed": seed,
        "chains": chains,
        "warmup": warmup,
        "draws": draws,
    }
    attributes = {"created_by": "mercer", **settings}
    idata = inference_data(program, bound, groups, found.stats, attributes)
    return Fit(
        idata=idata,
        program=program,
        bound=bound,
        arguments=arguments,
        sampled=found,
        settings=settings,
        diagnostics=diagnose(found, method=by, depth=int(chosen.get("depth", 10))),
        bind=bind,
        model_source=model_source,
        plan_text=plan_text,
    )


def _setting(program: ModuleType, name: str, otherwise: Any = None) -> Any:
    """A setting of the model; numbers of a model are floats, counts are meant where whole."""
    value = program.INFERENCE.settings.get(name, otherwise)
    return (
        int(value) if isinstance(value, float) and value.is_integer() and name != "rate" else value
    )
