"""A notebook: the cell magic, what is displayed, and mistakes without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import mercer
from tests.mercer import seen

MODEL = 'data x[n], y[n] : Real   "<hours>"\nnoise ~ HalfNormal(1)\ny ~ Normal(x, noise)'


@pytest.fixture
def shell() -> Iterator[Any]:
    made = InteractiveShell.instance(colors="nocolor", history_load_length=0)
    made.run_line_magic("load_ext", "mercer")
    yield made
    InteractiveShell.clear_instance()


def run(shell: Any, cell: str) -> tuple[Any, str]:
    with capture_output() as said:
        result = shell.run_cell(cell)
    return result, said.stdout + said.stderr


def test_the_cell_magic_binds_a_model(shell: Any) -> None:
    result, _ = run(shell, f"%%mercer sines\n{MODEL}")
    model = shell.user_ns["sines"]
    assert isinstance(model, mercer.Model) and result.result is model
    assert model.text.strip() == MODEL


@pytest.mark.parametrize("line", ["", " 1x", " two names"])
def test_a_cell_without_a_name_says_how_to_write_it(line: str, shell: Any) -> None:
    _, said = run(shell, f"%%mercer{line}\n{MODEL}")
    assert "write %%mercer NAME" in said and "Traceback" not in said


def test_mistakes_are_shown_as_the_command_line_shows_them(shell: Any) -> None:
    result, said = run(shell, "%%mercer wrong\ndata x[n], y[n] : Real\ny ~ Normal(x, sigm)")
    assert isinstance(result.error_in_exec, mercer.MercerError)
    assert "wrong:2:15" in said and "M201" in said and "^^^^" in said
    assert "Traceback" not in said and ".py" not in said
    assert "\033[31;1m" in said  # in colours
    assert "wrong" not in shell.user_ns


def test_mistakes_in_data_are_shown_so_too(shell: Any) -> None:
    run(shell, f"%%mercer sines\n{MODEL}")
    result, said = run(shell, "sines.fit({'x': [1.0, 2.0]})")
    assert isinstance(result.error_in_exec, mercer.MercerError)
    assert "the data have no column y" in said and "Traceback" not in said


def test_other_faults_keep_their_traceback(shell: Any) -> None:
    _, said = run(shell, "1 / 0")
    assert "ZeroDivisionError" in said


def test_models_plans_fits_predictions_and_figures_are_displayed(shell: Any) -> None:
    fit = seen.curves()
    figures = fit.plot()
    model = mercer.compile(MODEL)
    show = shell.display_formatter.format
    shown = {
        "model": show(model)[0]["text/html"],
        "plan": show(model.plan())[0]["text/html"],
        "fit": show(seen.everything())[0]["text/html"],
        "prediction": show(fit.predict())[0]["text/html"],
        "figures": show(figures)[0]["text/html"],
    }
    assert "&lt;hours&gt;" in shown["model"] and "color:" in shown["model"].replace(": ", ":")
    assert all(sentence[:30] in shown["plan"] for sentence in model.plan().sentences)
    assert "r_hat" in shown["fit"] and "more rows" in shown["fit"]
    assert "y.q97.5" in shown["prediction"]
    assert shown["figures"].count("data:image/png") == len(seen.OF_CURVES)
    assert show(figures["data y"])[0]["image/png"].startswith(b"\x89PNG")


def test_ipython_is_imported_only_by_the_extension() -> None:
    import subprocess
    import sys

    code = "import sys, mercer; mercer.compile('x ~ Normal(0, 1)'); print('IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_a_real_kernel_runs_a_notebook() -> None:
    import nbformat
    from nbclient import NotebookClient

    cells = ["%load_ext mercer", f"%%mercer sines\n{MODEL}", "%%mercer wrong\ny ~ Nrmal(0, 1)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    first, model, wrong = (cell.outputs for cell in notebook.cells)
    assert first == []
    assert "text/html" in model[0]["data"]
    assert wrong[0]["output_type"] == "error" and wrong[0]["ename"] == "MercerError"
    assert not any("Traceback" in line for line in wrong[0]["traceback"])
