"""`layer` that stops at the commit: python -m tests.bench.cost.commit_only WORDS...

No verb does this alone: `layer plan` looks at the whole repository besides, to tell what it takes.
"""

from __future__ import annotations

from layer import transaction
from layer.__main__ import main

if __name__ == "__main__":
    transaction.apply = transaction.build  # type: ignore[assignment]
    main()
