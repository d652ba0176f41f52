"""Building blocks of SQL statements."""

from collections.abc import Iterable
from typing import Any


class Params:
    """The values of a statement in the order of their placeholders."""

    def __init__(self, *values: Any) -> None:
        self.values = list(values)

    def add(self, value: Any) -> str:
        """Its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"

    def listed(self, values: Iterable[Any]) -> str:
        return ", ".join(self.add(value) for value in values)
