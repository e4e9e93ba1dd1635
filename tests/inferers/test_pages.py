import errno
import mmap
from typing import Any

import pytest
import torch

from pipeline.inferers.pages import HUGE_BYTES, own_pages


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1,), (HUGE_BYTES // 2, 1)])
def test_a_tensor_of_its_own_pages_is_like_any_other(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    first, second = own_pages(shape, dtype).fill_(1), own_pages(shape, dtype).fill_(2)
    assert first.shape == shape
    assert first.dtype == dtype
    assert first.is_contiguous()
    assert float(first.sum(dtype=torch.float64)) * 2 == float(second.sum(dtype=torch.float64))


def test_nothing_takes_no_page() -> None:
    assert own_pages((3, 0)).shape == (3, 0)


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOMEM, MemoryError), (errno.EPERM, PermissionError)]
)
def test_no_pages_left_is_a_lack_of_memory(
    number: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(kind):
        own_pages((3, 4))
