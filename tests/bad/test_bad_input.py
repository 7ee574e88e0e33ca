"""Every mistake in `cases/` gets exactly its message and its exit code, and never a traceback."""

from pathlib import Path

import pytest

from tests.bad.run_cases import is_writing, read_case, run_case, write_case

CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_mistake_gets_its_message(path: Path, tmp_path: Path) -> None:
    case = read_case(path)
    code, printed = run_case(case, tmp_path)
    assert "Traceback" not in printed and "internal error" not in printed, printed
    assert code in (1, 2, 3, 4)
    if is_writing():
        write_case(case, code, printed)
        return
    assert (printed, code) == (case.expected, case.code)


def test_there_are_at_least_forty_mistakes_and_no_two_are_the_same() -> None:
    heads = {read_case(path).head for path in CASES}
    assert len(heads) == len(CASES) >= 40
