import signal
import threading

import pytest

from pipeline.interrupt import Terminated, exit_code, interruptible


def test_sigterm_becomes_an_exception_that_is_handled_like_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert issubclass(Terminated, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_codes_are_those_of_the_signals() -> None:
    assert exit_code(KeyboardInterrupt()) == 128 + signal.SIGINT
    assert exit_code(Terminated()) == 128 + signal.SIGTERM


def test_another_thread_than_the_main_one_is_left_alone() -> None:
    seen: list[object] = []

    def _work() -> None:
        with interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    worker = threading.Thread(target=_work)
    worker.start()
    worker.join()
    assert seen == [before]
