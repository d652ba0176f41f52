"""Tests, in folders that match the rooms of the product. `tests/support/` has the drivers."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent  # the checkout
