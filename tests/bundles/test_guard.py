import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.bundles.guard import install_hook, plain, refusal
from pipeline.errors import REPORT, DataError

ROOT = Path(__file__).parents[2]


def refuse() -> None:
    raise DataError("a file\nis missing", hint="look\n elsewhere")


def test_a_refusal_ends_with_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        plain(refuse)()
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: a file is missing; look elsewhere\n"


def test_a_refusal_is_found_below_whatever_was_wrapped_around_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def _wrapped() -> None:
        try:
            refuse()
        except DataError as error:
            try:
                raise ValueError("inner") from error
            except ValueError as inner:
                raise RuntimeError("Failed to evaluate") from inner

    with pytest.raises(SystemExit):
        plain(_wrapped)()
    assert capsys.readouterr().err.startswith("error: a file is missing")


def test_a_bug_keeps_its_own_exception() -> None:
    @plain
    def _bug() -> None:
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        _bug()


def test_what_was_set_aside_on_purpose_is_no_refusal() -> None:
    def _recovered() -> None:
        try:
            refuse()
        except DataError:
            raise ZeroDivisionError("ours") from None

    with pytest.raises(ZeroDivisionError) as caught:
        _recovered()
    assert refusal(caught.value) is None


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert refusal(first) is None
    assert refusal(None) is None


def test_results_and_names_pass_through() -> None:
    @plain
    def double(number: int) -> int:
        """Twice."""
        return 2 * number

    assert double(4) == 8
    assert (double.__name__, double.__doc__) == ("double", "Twice.")


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        (
            "raise RuntimeError('Failed to instantiate') from DataError('bad', hint='mend it')",
            2,
            "error: bad; mend it\n",
        ),
        ("raise KeyboardInterrupt", 130, "interrupted\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, "interrupted\n"),
    ],
)
def test_the_hook_turns_what_nobody_caught_into_one_line(
    statement: str, code: int, said: str
) -> None:
    done = hooked(statement)
    assert (done.returncode, done.stderr) == (code, said)


def test_the_hook_says_where_to_report_a_bug() -> None:
    done = hooked("raise RuntimeError('ours')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == REPORT


def hooked(statement: str) -> subprocess.CompletedProcess[str]:
    """Run a statement in a process with the hook."""
    # the module by itself: its package imports MONAI, which takes seconds
    program = (
        "import runpy\n"
        "from pipeline.errors import DataError\n"
        "install_hook = runpy.run_path('pipeline/bundles/guard.py')['install_hook']\n"
        f"install_hook(); install_hook()\n{statement}"
    )
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_the_hook_is_installed_once() -> None:
    install_hook()
    first = sys.excepthook
    install_hook()
    assert sys.excepthook is first
