"""Problems: the API reports each expected error of the service by a type of its own."""

from collections.abc import Iterator

from schema.problems import HANDLERS
from service.errors import ExpectedError
from service.invitations.operator import NameTaken
from service.retention.erasure import LeavesNoOwner

_OF_COMMANDS = {LeavesNoOwner, NameTaken}


def _subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def test_every_expected_error_has_a_problem() -> None:
    """Each expected error, except those of commands, has one handler that converts it into a problem."""
    handled = [handler.exception_type for handler in HANDLERS]
    assert len(handled) == len(set(handled))
    assert set(_subclasses(ExpectedError)) - _OF_COMMANDS <= set(handled)


def test_problems_have_the_names_of_their_errors() -> None:
    """An error and its problem have the same name, which clients read as __typename."""
    assert all(handler.exception_type.__name__ == handler.error_type.__name__ for handler in HANDLERS)
