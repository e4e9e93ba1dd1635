import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from pipeline.tracking import process

ROOT = Path(__file__).parents[2]


def test_this_process_is_not_gone() -> None:
    assert not process.is_gone(process.identity())


def test_a_number_that_another_process_has_now_is_gone() -> None:
    tags = process.identity()
    boot, namespace, ticks = tags[process.START].split(":")
    tags[process.START] = f"{boot}:{namespace}:{int(ticks) - 1}"
    assert process.is_gone(tags)


def test_a_process_of_an_earlier_boot_is_gone() -> None:
    tags = process.identity()
    tags[process.START] = f"earlier:{tags[process.START].partition(':')[2]}"
    assert process.is_gone(tags)


def test_nothing_is_said_of_another_host_or_container_or_an_unnamed_process() -> None:
    tags = process.identity() | {process.PID: "999999999"}
    assert process.is_gone(tags)
    boot, _, ticks = tags[process.START].split(":")
    assert not process.is_gone(tags | {process.HOST: "elsewhere"})
    assert not process.is_gone(tags | {process.START: f"{boot}:1:{ticks}"})
    assert not process.is_gone(tags | {process.START: "unknown"})
    assert not process.is_gone({process.HOST: tags[process.HOST]})


def test_a_killed_child_is_gone_even_before_its_parent_asks_for_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    start = process._start(child.pid)
    assert start is not None
    tags = process.identity() | {process.PID: str(child.pid), process.START: start}
    assert not process.is_gone(tags)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.is_gone(tags)
    child.wait()
    assert process.is_gone(tags)


def test_the_peak_of_memory_is_what_was_held_and_not_what_the_parent_held() -> None:
    code = (
        "from pipeline.tracking.process import peak_memory\n"
        "before = peak_memory()\n"
        "held = bytearray(b'a') * 2**28\n"
        "print(before, peak_memory())"
    )
    held = np.ones(2**25)  # 256 MiB
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    before, after = (int(text) for text in done.stdout.split())
    assert before < held.nbytes
    assert 0.9 < (after - before) / 2**28 < 1.1
