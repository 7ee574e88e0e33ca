"""Labels through the whole road: written in a model, several at once, and new ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mercer

STATES = ["Ohio", "Texas", "Utah"]
EFFECTS = """data y[n] : Real
data state[n] : Label(s)
b[s] ~ Normal(0, 3)
more = b["Texas"] - b["Ohio"]
y ~ Normal(b[state] + b["{label}"], 0.01)
"""


def effects(label: str = "Texas") -> dict[str, Any]:
    truth = np.array([1.0, -2.0, 0.5])
    codes = np.arange(30) % 3
    return {"state": [STATES[c] for c in codes], "y": truth[codes] - 2.0}


def fitted(text: str, data: Any) -> Any:
    return mercer.compile(text).fit(data, chains=1, warmup=20, draws=40, progress=False)


def test_a_written_label_is_the_entry_of_that_label_of_the_data() -> None:
    fit = fitted(EFFECTS.format(label="Texas"), effects())
    means = fit.idata["posterior"]["b"].mean(("chain", "draw"))
    assert float(means.sel(s="Texas")) == pytest.approx(-2.0, abs=0.02)
    more = fit.idata["posterior"]["more"]
    b = fit.idata["posterior"]["b"]
    difference = b.sel(s="Texas") - b.sel(s="Ohio")
    np.testing.assert_allclose(more, difference, rtol=1e-12)
    told = fit.predict({"state": ["Utah"]}).means["y"]
    assert told == pytest.approx([-1.5], abs=0.02)


def test_a_written_label_that_the_data_do_not_have_is_told_with_the_nearest() -> None:
    with pytest.raises(mercer.MercerError) as caught:
        fitted(EFFECTS.format(label="Texs"), effects())
    (found,) = caught.value.diagnostics
    assert found.code == "M409" and found.span is not None and found.span.line == 5
    assert found.problem == "there is no label Texs in s"
    assert found.mend == "did you mean Texas?"


def test_the_jaxpr_of_a_model_with_a_written_label_needs_no_data() -> None:
    assert "lambda" in mercer.compile(EFFECTS.format(label="Texas")).show("jaxpr")
