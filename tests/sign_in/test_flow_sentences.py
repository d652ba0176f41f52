"""The stored sentences of flows."""

from service.flow_sentences import from_columns


def test_sentence_of_an_earlier_version_replaces_the_code_in_the_row() -> None:
    """During an update, an earlier version finishes a flow of this version: it writes the message and keeps the code."""
    facts = {"address": "g***@corp.example"}

    assert from_columns(None, "CODE_REQUIRED", facts).code == "CODE_REQUIRED"
    assert str(from_columns("Welcome to Demo.", "CODE_REQUIRED", facts)) == "Welcome to Demo."
