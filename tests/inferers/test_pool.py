import torch

from pipeline.inferers.pool import Pool

CPU = torch.device("cpu")


def test_what_comes_back_is_handed_out_again() -> None:
    pool = Pool(CPU)
    first = pool.take((2, 3, 4))
    address = first.data_ptr()
    pool.give(first)
    assert pool.take((4, 6)).data_ptr() == address
    assert pool.peak_bytes == pool.held_bytes == 24 * 4


def test_no_more_is_held_than_was_needed_at_once() -> None:
    pool = Pool(CPU)
    pool.give(pool.take((100,)))
    pool.give(pool.take((60,)))
    assert pool.held_bytes <= pool.peak_bytes == 400
    held = [pool.take((60,)), pool.take((30,))]
    assert pool.live_bytes == 360
    assert pool.held_bytes <= 400
    for buffer in held:
        pool.give(buffer)
    assert pool.live_bytes == 0


def test_sums_in_half_precision_take_half() -> None:
    pool = Pool(CPU, torch.float16)
    assert pool.take((10,)).dtype == torch.float16
    assert pool.peak_bytes == 20
