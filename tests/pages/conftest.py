"""The tests of pages, which use only the API: one database engine is enough for them."""

import pytest


@pytest.fixture
def engine() -> str:
    return "sqlite"
