"""Our end of the decoding process: requests sent, answers checked, a hanging child ended."""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline.errors import DataError, ResourceError
from pipeline.io.dicom.codecs import plugin
from pipeline.io.dicom.headers import DAMAGED
from pipeline.io.dicom.slices import Slice
from pipeline.io.dicom.storage import Storage
from pipeline.io.values import Array

FRAME_LIMIT_S = 30.0
"""A frame that takes longer is refused; the slowest real ones take well under a second."""

COMMAND = (sys.executable, "-P", "-m", "pipeline.io.dicom.worker")
_BASE_BYTES = 2 << 30
_BYTES_PER_PIXEL = 64


class Decoder:
    """A child process that decodes frames of one series, started when the first is asked for.

    Args:
        pixels: Of the largest frame; the child's memory is limited by it.
    """

    def __init__(self, pixels: int) -> None:
        self.memory = _BASE_BYTES + pixels * _BYTES_PER_PIXEL
        self.limit_s = FRAME_LIMIT_S
        self._child: subprocess.Popen[bytes] | None = None

    def frame(self, one: Slice, layout: Storage, stream: bytes) -> Array:
        """Return the stored values `(rows, columns)` of a frame.

        Raises:
            DataError: Damaged, of another size than the header says, or too slow.
            ResourceError: It needs more memory than the child may have.
        """
        request = {
            "syntax": one.header.syntax,
            "plugin": plugin(one),
            "rows": one.rows,
            "columns": one.columns,
            "bits_allocated": layout.dtype.itemsize * 8,
            "bits_stored": layout.stored,
            "pixel_representation": int(layout.signed),
            "length": len(stream),
        }
        reply, data = self._ask(one, request, stream)
        if "error" in reply:
            if "memory" in reply["error"]:
                raise ResourceError(f"{one.name}: {reply['error']}", hint=DAMAGED)
            raise DataError(
                f"{one.name}: pixels cannot be decoded ({reply['error']})", hint=DAMAGED
            )
        shape = tuple(reply["shape"])
        if shape != (one.rows, one.columns):
            raise DataError(
                f"{one.name}: decoded to {shape}, the header says ({one.rows}, {one.columns})",
                hint=DAMAGED,
            )
        return np.frombuffer(data, np.dtype(reply["dtype"])).reshape(shape)

    def _ask(self, one: Slice, request: dict[str, Any], stream: bytes) -> tuple[Any, bytes]:
        child = self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        end = time.monotonic() + self.limit_s
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.write(stream)
            child.stdin.flush()
            head = b""
            while not head.endswith(b"\n"):
                head += _read(child.stdout, 1, end)
            reply = json.loads(head)
            return reply, _read(child.stdout, reply["length"], end)
        except TimeoutError:
            self.stop()
            raise DataError(
                f"{one.name}: the decoder took over {self.limit_s:g} s", hint=DAMAGED
            ) from None
        except (OSError, EOFError, ValueError) as error:
            self.stop()
            raise DataError(f"{one.name}: the decoder broke down", hint=DAMAGED) from error

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._child is None:
            root = str(Path(__file__).resolve().parents[3])
            paths = [root, *(path for path in sys.path if path)]
            self._child = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            )
            assert self._child.stdin is not None
            self._child.stdin.write(json.dumps({"memory": self.memory}).encode() + b"\n")
        return self._child

    def stop(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # what was never sent has nowhere to go
                    continue


def _read(stream: IO[bytes], count: int, end: float) -> bytes:
    """Return exactly `count` bytes, or give up at the time `end`."""
    parts = []
    while count:
        ready, _, _ = select.select([stream], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(stream.fileno(), min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
