"""Forward and training step of every network at one patch, beside public implementations.

Each row is measured in a process of its own and kept, so that a run which was stopped goes on.
Where a public implementation has the same architecture and count, both take turns on the same
images and ratios of times and of peak memory are reported; below 1 ours is faster or smaller.
A training step here is forward and backward: what the optimizer adds is the same for both.

    python -m benchmarks.networks [--only NAME ...] [--output FILE.jsonl] [--again] [--page]
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from benchmarks.pages import DOCS, Row, Rows, markdown, write_between
from benchmarks.peers import KIN, SAME
from pipeline.engines.machine import cpu_name
from pipeline.networks import NETWORKS, build_network

SIZES: Final = {2: (256, 128), 3: (64, 32, 32)}
OWN: Final[dict[str, dict[str, Any]]] = {"unet3d": {"padded": True}}  # to take part at this patch
UNPADDED: Final = ("unet_valid",)  # sees 188 voxels to give 4: it has no place at this patch
ROUNDS: Final = 5
SECONDS: Final = 6.0  # no further round after so long
MIB: Final = 2**20
NAME: Final = "benchmark of the networks"


def main() -> None:
    """Measure what is missing, print the table, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these networks alone")
    parser.add_argument("--output", type=Path, help="file of rows (default: in the cache)")
    parser.add_argument("--again", action="store_true", help="measure rows that are there, too")
    parser.add_argument("--page", action="store_true", help="write the table into docs/networks.md")
    args = parser.parse_args()
    rows = Rows(args.output, "networks", ("name", "dims", "cpu", "torch"))
    for name in args.only or [*(n for n in NETWORKS if n not in UNPADDED), *KIN]:
        for dims in SIZES:
            where = {"name": name, "dims": dims, "cpu": cpu_name(), "torch": torch.__version__}
            if args.again or not rows.has(**where):
                found = measured(name, dims)
                if found is not None:
                    rows.add({**where, **found})
    text = page(list(rows.rows.values()))
    print(text)
    if args.page:
        write_between(DOCS / "networks.md", NAME, text)


def measured(name: str, dims: int) -> Row | None:
    """Times of ours and the peer by turns, and the peak memory of each; None without the peer."""
    times = apart(times_of, name, dims)
    if "missing" in times:
        print(f"{name} {dims}D: {times['missing']}", file=sys.stderr)
        return None
    row = {**times, "peak_mib": apart(memory_of, name, dims, 0)}
    if "peer" in times:
        row["memory_ratio"] = round(row["peak_mib"] / apart(memory_of, name, dims, 1), 3)
    print(f"{name} {dims}D: {json.dumps(row)}", file=sys.stderr)
    return row


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a process of its own, which inherits what was imported."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, args))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise SystemExit(f"{args}: the process died; out of memory?") from None
    finally:
        process.join()


def _answer(sender: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Send the result of a call through a pipe."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    sender.send(function(*args))


def times_of(name: str, dims: int) -> Row:
    """Times by turns, or why there are none."""
    try:
        return compare(list(implementations(name, dims)), SIZES[dims])
    except ImportError as error:
        return {"missing": str(error)}


def memory_of(name: str, dims: int, which: int) -> float:
    """MiB of building a network and of two training steps, above the program's own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network = list(implementations(name, dims))[which][1]()
    for _ in range(2):
        step_s(network, torch.randn(1, 1, *SIZES[dims]))
    unit = 1 if sys.platform == "darwin" else 1024
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round((after - before) * unit / MIB, 1)


def implementations(name: str, dims: int) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """Ours, then the public one of the same architecture if it can be loaded; or kin alone."""
    size = SIZES[dims]
    if name in KIN:
        yield name, lambda: KIN[name](dims, size)
        return
    options = {"img_size": size} if name == "unetr" else OWN.get(name, {})
    yield "ours", lambda: build_network(name, dims, 1, 2, **options)
    if name not in SAME:
        return
    peer, make = SAME[name]
    try:
        with torch.device("meta"):
            make(dims, size)
    except ImportError as error:
        print(f"{peer}: {error}", file=sys.stderr)
        return
    except RuntimeError:  # MONAI's Swin UNETR reads numbers off tensors while it is built
        pass
    yield peer, lambda: make(dims, size)


def compare(makers: list[tuple[str, Callable[[], nn.Module]]], size: tuple[int, ...]) -> Row:
    """Time forward and step of all implementations by turns."""
    networks = [make() for _, make in makers]
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    if len(set(counts)) > 1:
        raise SystemExit(f"{makers[1][0]} has {counts[1]:,} parameters, ours {counts[0]:,}")
    x = torch.randn(1, 1, *size)
    forward: list[list[float]] = [[] for _ in networks]
    step: list[list[float]] = [[] for _ in networks]
    began = time.perf_counter()
    for number in range(ROUNDS + 1):  # the first one warms up
        enough = 2 if len(networks) == 1 else 4
        if number >= enough and time.perf_counter() - began > SECONDS * len(networks):
            break
        for network, passes, steps in zip(networks, forward, step, strict=True):
            passes.append(forward_s(network, x))
            steps.append(step_s(network, x))
    row: Row = {
        "parameters": counts[0],
        "giga_multiply_adds": round(multiply_adds(networks[0], x) / 1e9, 3),
        "forward_s": round(statistics.median(forward[0][1:]), 4),
        "step_s": round(statistics.median(step[0][1:]), 4),
        "rounds": len(forward[0]) - 1,
    }
    if len(networks) == 2:
        row["peer"] = makers[1][0]
        for key, (ours, theirs) in (("forward", forward), ("step", step)):
            ratios = sorted(a / b for a, b in zip(ours[1:], theirs[1:], strict=True))
            row[f"{key}_ratio"] = round(statistics.median(ratios), 3)
            row[f"{key}_range"] = [round(ratios[0], 3), round(ratios[-1], 3)]
    return row


def forward_s(network: nn.Module, x: Tensor) -> float:
    """Seconds of an evaluation."""
    network.eval()
    began = time.perf_counter()
    with torch.inference_mode():
        network(x)
    return time.perf_counter() - began


def step_s(network: nn.Module, x: Tensor) -> float:
    """Seconds of forward and backward in training."""
    network.train()
    network.zero_grad(set_to_none=True)
    began = time.perf_counter()
    output = network(x)
    heads = [output] if isinstance(output, Tensor) else output
    torch.stack([head.square().mean() for head in heads]).sum().backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - began


def multiply_adds(network: nn.Module, x: Tensor) -> int:
    """Of one evaluation: convolutions and matrix products."""
    from torch.utils.flop_counter import FlopCounterMode

    network.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(x)
    return int(counter.get_total_flops() // 2)


def page(rows: list[Row]) -> str:
    """Both tables, with the machine and the command that made them."""
    if not rows:
        return "Not measured yet: `python -m benchmarks.networks --page`."
    sizes = " and ".join("x".join(map(str, size)) for size in SIZES.values())
    threads = torch.get_num_threads()
    paired = [row for row in rows if row.get("peer")]
    pairs = markdown(
        ["network", "beside", "forward", "training step", "peak memory"],
        (
            [
                f"{row['name']} {row['dims']}D",
                row["peer"],
                ratio(row, "forward"),
                ratio(row, "step"),
                f"{row['memory_ratio']:.2f}",
            ]
            for row in paired
        ),
    )
    singles = markdown(
        ["network", "forward s", "step s", "peak MiB", "G", "ps per multiply-add"],
        (
            [
                f"{row['name']} {row['dims']}D",
                f"{row['forward_s']:.3f}",
                f"{row['step_s']:.3f}",
                f"{row['peak_mib']:,.0f}",
                f"{row['giga_multiply_adds']:.1f}",
                f"{1e3 * row['forward_s'] / row['giga_multiply_adds']:.1f}",
            ]
            for row in rows
        ),
    )
    cpus = "; ".join(dict.fromkeys(f"{row['cpu']}, torch {row['torch']}" for row in rows))
    return (
        f"Published widths, one case of {sizes}, {cpus}, {threads} threads; "
        "`python -m benchmarks.networks --page`.\n\n"
        "Same architecture and count, in turns in one process (ratio of ours to theirs, median "
        f"and range; below 1 ours is faster or smaller):\n\n{pairs}\n\n"
        f"All, and some of a kind:\n\n{singles}"
    )


def ratio(row: Row, what: str) -> str:
    """Median and range."""
    low, high = row[f"{what}_range"]
    return f"{row[f'{what}_ratio']:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
