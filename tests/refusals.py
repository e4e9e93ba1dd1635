"""What a refusal looks like to a user."""

import pytest


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    return line
