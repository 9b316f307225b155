"""Which of two ELF files of one path is there: rpm's colours of files decide."""

from __future__ import annotations

# rpm's rpmfc.h: 1 is an ELF file of 32 bits, 2 one of 64 bits. Wherever a machine can have both,
# %_transaction_color is 3 and %_prefer_color is 2. 4 (MIPS n32) counts on no such machine.
_COLORS = 3
_PREFERRED = 2


def is_decided(color: int, other: int) -> bool:
    """Whether colours say which of two different files is there."""
    one, two = color & _COLORS, other & _COLORS
    return 0 not in (one, two) and bool(one & _PREFERRED) != bool(two & _PREFERRED)


def gives_way(color: int, other: int) -> bool:
    """Whether a file is not there because of another one of its path."""
    return is_decided(color, other) and not color & _PREFERRED
