"""Pages use the API only, so one engine is enough for their tests."""

import pytest


@pytest.fixture
def engine() -> str:
    return "sqlite"
