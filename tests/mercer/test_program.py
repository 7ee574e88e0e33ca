"""An emitted program as a module: its lines can be seen, and its faults are told at the model's."""

import linecache
import traceback

import pytest

from mercer.dsl.diagnostic import MercerError
from mercer.dsl.span import Source
from mercer.program import line_of, program_of, told_at_model_lines

MODEL = Source("line.mercer", "data y[n] : Real\n  mu = 1 / zero\ny ~ Normal(mu, 1)\n")
PROGRAM = '''"""A program."""


def prepare(*, y):
    return {"y": y}


def model(*, y, zero):
    mu = (
        1
        / zero
    )  # line 2
    return shown(mu, y)  # line 3


def shown(mu, y):
    return mu + y[0]
'''


def test_a_program_is_a_module_with_its_source() -> None:
    program = program_of(PROGRAM, "line.mercer")
    assert program.prepare(y=3) == {"y": 3}
    assert program.model(y=[1.0], zero=2.0) == 1.5
    assert linecache.getline(str(program.__file__), 8) == "def model(*, y, zero):\n"


def test_a_fault_is_told_at_the_line_of_the_model() -> None:
    program = program_of(PROGRAM, "line.mercer")
    with pytest.raises(MercerError) as caught, told_at_model_lines(program, MODEL):
        program.model(y=[], zero=1.0)
    assert str(caught.value).splitlines()[:4] == [
        "line.mercer:3:1  error M601: the program of this line failed while it ran",
        "  |",
        "3 | y ~ Normal(mu, 1)",
        "  | ^^^^^^^^^^^^^^^^^",
    ]
    assert "IndexError: list index out of range" in str(caught.value)


def test_a_traceback_shows_the_lines_of_the_program() -> None:
    program = program_of(PROGRAM, "line.mercer")
    try:
        program.model(y=[], zero=1.0)
    except IndexError as error:
        assert "return mu + y[0]" in "".join(traceback.format_exception(error))


def test_a_statement_over_several_lines_has_one_line_of_the_model() -> None:
    program = program_of(PROGRAM, "line.mercer")
    with pytest.raises(ZeroDivisionError) as caught:
        program.model(y=[1.0], zero=0.0)
    assert line_of(caught.value, program) == 2


def test_what_is_no_fault_of_the_program_passes_through() -> None:
    program = program_of(PROGRAM, "line.mercer")
    with pytest.raises(KeyError), told_at_model_lines(program, MODEL):
        raise KeyError("elsewhere")
    with pytest.raises(KeyboardInterrupt), told_at_model_lines(program, MODEL):
        raise KeyboardInterrupt
