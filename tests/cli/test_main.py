import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import __version__
from pipeline.cli import COMMANDS, main
from pipeline.errors import REPORT, DataError
from pipeline.interrupt import Terminated

ROOT = Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]

# what `--help` of the program and of a command may not import: it answers at once
LIGHT = """
import sys
from pipeline.cli import main
try:
    code = main({words!r})
except SystemExit as end:
    code = end.code
heavy = sorted({{"torch", "monai", "ignite", "mlflow"}} & set(sys.modules))
sys.exit(f"imported {{heavy}}" if heavy else code)
"""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | int], None]:
    """Let `unetworks info` end as told."""

    def _command(end: BaseException | int) -> None:
        def _run(args: argparse.Namespace) -> int:
            if isinstance(end, BaseException):
                raise end
            return end

        module = SimpleNamespace(register=lambda parser: None, run=_run)
        monkeypatch.setitem(sys.modules, "pipeline.cli.info", module)

    return _command


@pytest.mark.parametrize(
    ("end", "code", "err"),
    [
        (0, 0, ""),
        (2, 2, ""),
        (DataError("a\nb", hint="c"), 2, "error: a b; c\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (Terminated(), 143, "interrupted\n"),
    ],
)
def test_a_command_ends_with_its_code_and_at_most_one_line(
    command: Callable[..., None],
    capsys: Capture,
    end: BaseException | int,
    code: int,
    err: str,
) -> None:
    command(end)
    assert main(["info"]) == code
    assert capsys.readouterr() == ("", err)


def test_a_refusal_that_monai_wrapped_is_one_line(
    command: Callable[..., None], capsys: Capture
) -> None:
    error = RuntimeError("applying transform <ReadVolumed>")
    error.__cause__ = DataError("a.nii.gz is cut", hint="copy it again")
    command(error)
    assert main(["info"]) == 2
    assert capsys.readouterr().err == f"error: {error.__cause__.line()}\n"


def test_a_bug_keeps_its_traceback_and_says_where_to_report_it(
    command: Callable[..., None], capsys: Capture
) -> None:
    command(ZeroDivisionError("ours"))
    assert main(["info"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "ZeroDivisionError: ours" in err
    assert REPORT in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predictt"], "no command 'predictt'; try unetworks predict"),
        (["xyzzy"], "no command 'xyzzy'; try unetworks --help"),
        ([], "COMMAND"),
        (["predict"], "BUNDLE"),
        (["predict", "a", "b"], "see unetworks predict --help"),
        (["predict", "a", "b", "c", "--overlap", "much"], "--overlap"),
        (["networks", "--drawn"], "--drawn"),
    ],
)
def test_what_was_mistyped_is_one_line_and_code_2(
    capsys: Capture, words: list[str], said: str
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_version_and_help_answer(capsys: Capture) -> None:
    for word in ("--version", "--help"):
        with pytest.raises(SystemExit) as caught:
            main([word])
        assert caught.value.code == 0
    out = capsys.readouterr().out
    assert f"unetworks {__version__}" in out
    assert all(name in out for name in COMMANDS)
    assert "no medical device" in " ".join(out.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert f"usage: unetworks {name}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["data", "list"], ["runs", "--help"]])
def test_the_program_answers_without_torch(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(words=words)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, pipeline; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_a_reader_that_has_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "data", "list"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        check=False,
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 0
