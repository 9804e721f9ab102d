"""The ``twin`` command as it is typed: what it prints, and how it ends."""

import io
import sys
from dataclasses import dataclass

import pytest
import structlog

from twin_assets import cli
from twin_assets.cli import terminal

PARAGRAPH = (
    "The {0} loaf came out flat, so I wrote down what the oven said and what it did. They did not agree. "
    "I moved the shelf, waited for the {0} light to go out, and tried again with the door held shut by a chair."
)
DAGSTERS_OWN = [  # calls that warn
    pytest.mark.filterwarnings("ignore:The .__fields__. attribute is deprecated"),
    pytest.mark.filterwarnings("ignore:AssetExecutionContext.op is deprecated"),
]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def call(*arguments: str) -> Result:
    """Runs the command in this process; the consoles write where a terminal would read."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["twin", *arguments])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        for shared, file in ((terminal.console, out), (terminal.errors, err)):
            patch.setattr(shared, "file", file)
            patch.setattr(shared, "width", 200)
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            structlog.reset_defaults()
    assert "Traceback" not in err.getvalue()
    return Result(code, out.getvalue(), err.getvalue())


def failed(result: Result, *words: str, code: int = 1) -> None:
    """Asserts that a command ended with one message in which these words stand."""
    assert result.code == code, result
    assert result.err.startswith("✗ "), result
    for word in words:
        assert word in result.err, result
