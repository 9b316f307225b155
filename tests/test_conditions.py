"""Which boolean dependencies are given to libsolv and librpm."""

from __future__ import annotations

import pytest

from layer.errors import InvalidInput
from layer.solver.conditions import check_condition


@pytest.mark.parametrize(
    "text",
    [
        "libfoo.so.1()(64bit)",
        "(a or b)",
        "(a >= 1.0 if (b or c < 2))",
        "((a with b) or (c with d))",
        "(pkgconfig(x) and (y unless z else w))",
        "((crate(serde/default) >= 1.0.34 with crate(serde/default) < 2.0.0~) if rust)",
        f"({' or '.join(f'p{n}' for n in range(500))})",
        f"({' and '.join(f'p{n}' for n in range(500))})",
        f"({' and '.join(f'(p{n} with q{n})' for n in range(100))})",
        f"({' or '.join(f'(p{n} and q{n})' for n in range(9))})",
    ],
)
def test_what_packages_need_passes(text: str) -> None:
    check_condition(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 40,
        "(a or " * 40 + "b" + ")" * 40,
        f"({'x' * 9000})",
        f"({' or '.join(f'(p{n} and q{n})' for n in range(12))})",
        f"({' and '.join(f'(p{n} or q{n})' for n in range(12))})",
        f"({' or '.join(f'(p{n} and q{n} >= 1)' for n in range(12))})",
        f"({' or '.join(f'(p{n} if q{n} else r{n})' for n in range(200))})",
    ],
)
def test_what_would_take_for_ever_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="a dependency"):
        check_condition(text)
