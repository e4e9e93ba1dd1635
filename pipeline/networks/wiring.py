"""A network's wiring, read off one forward pass: which block feeds which, and at what level.

Modules alone don't tell it, for concatenations and resizings happen between them. So hooks say
which module is at work, and a dispatch mode sees every operation with the tensors that go in and
come out; the networks themselves declare nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import log2, prod
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pipeline.contract import GuidedOutput, Network
from pipeline.figures.wiring import Block, Wiring

SIDE: Final = 5  # divisors; an odd number, so that no level's size is a usual number of channels
SMALLEST_DIVISOR: Final = 32  # for networks that pad by themselves
UNPADDED_SIDE: Final = 64  # divisors, so that lost borders don't pass for another level
WEIGHTED: Final = {"convolution", "addmm", "mm", "bmm"}  # what makes an operation worth a box
LAYERS: Final = (nn.modules.conv._ConvNd, nn.Linear)
PASSED: Final = {"Sequential", "Chain", "Convolution"}  # names that tell nothing
INPUT: Final = -1


@dataclass(slots=True)
class _Unit:
    """The outermost module that works at one level only, in one of its calls."""

    level: int
    kinds: list[str]
    channels: int = 0
    operations: int = 0
    output: bool = False
    turns: int = 0  # how often the paths to it changed from going up to going down, and back
    deepest: int = 0  # level on any path to it

    @property
    def key(self) -> tuple[int, int, int]:
        """Units of another key are other blocks, even if one only feeds the other."""
        return self.level, self.turns, self.deepest


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation on tensors, which are known by their identity."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    calls: tuple[int, ...]  # of modules, outermost first
    level: int
    weighted: bool
    channels: int


def network_wiring(network: Network) -> Wiring:
    """Return the blocks of a network and what feeds them, as its training runs.

    A block is a chain of modules at one level that feed only each other. Nothing is computed; the
    network is moved to the meta device, so take one that was built for the purpose.
    """
    network = network.to("meta").train()
    x = torch.zeros(1, network.in_channels, *_size(network), device="meta")
    recorder = _Recorder(network, x)
    with torch.no_grad(), recorder.listening(), recorder:
        output = network(x)
    heads = output.heads if isinstance(output, GuidedOutput) else tree_leaves(output)
    units, arrows = _units(recorder, id(x), [id(head) for head in heads])
    _characterise(units, arrows)
    _join_chains(units, arrows)
    return _as_wiring(units, arrows)


def _size(network: Network) -> tuple[int, ...]:
    """A size at which no two levels are alike."""
    longest = max(*network.divisors, SMALLEST_DIVISOR)
    side = SIDE * longest
    if network.output_size(side) != side:
        side = UNPADDED_SIDE * longest
    return network.next_size((side,) * network.spatial_dims)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operation with the modules whose calls it is part of."""

    def __init__(self, network: Network, x: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.network = network
        self.size = tuple(x.shape[2:])
        self.kept: list[Tensor] = [x]  # so that no identity comes twice
        self.levels = {id(x): 0}
        self.operations: list[_Operation] = []
        self.modules: list[nn.Module] = []  # of each call
        self.stack: list[int] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Follow the calls of all modules but the network itself."""
        hooks = []
        for module in self.network.modules():
            if module is not self.network:
                hooks.append(module.register_forward_pre_hook(self._enter))
                hooks.append(module.register_forward_hook(self._leave))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, module: nn.Module, _: object) -> None:
        self.stack.append(len(self.modules))
        self.modules.append(module)

    def _leave(self, *_: object) -> None:
        self.stack.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and note it."""
        result = func(*args, **(kwargs or {}))
        inputs = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        outputs = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
        known = tuple(id(one) for one in inputs if id(one) in self.levels)
        if known and outputs:
            for one in outputs:
                self.levels[id(one)] = self._level(one, self.levels[known[0]])
            self.kept += outputs
            self.operations.append(
                _Operation(
                    known,
                    tuple(map(id, outputs)),
                    tuple(self.stack),
                    self.levels[id(outputs[0])],
                    func.overloadpacket.__name__ in WEIGHTED,
                    outputs[0].shape[1] if outputs[0].ndim > 1 else 0,
                )
            )
        return result

    def _level(self, x: Tensor, before: int) -> int:
        """How often a tensor's size was halved; `before` where its shape doesn't tell."""
        if x.ndim != len(self.size) + 2:
            return before
        for size in (x.shape[2:], x.shape[1:-1]):  # channels first, or last
            halvings = [_halvings(n, m) for n, m in zip(self.size, size, strict=True)]
            if None not in halvings and prod(size) > 1:
                return max(h for h in halvings if h is not None)
        if self.network.output_size(self.size[0]) == self.size[0]:
            return before
        lost = [n / max(m, 1) for n, m in zip(self.size, x.shape[2:], strict=True)]
        return round(log2(max(lost)))


def _halvings(long: int, short: int) -> int | None:
    """How often `long` was halved to give `short`; None if it wasn't."""
    ratio, rest = divmod(long, short) if short else (0, 0)
    return None if rest or ratio & (ratio - 1) or not ratio else ratio.bit_length() - 1


def _units(
    recorder: _Recorder, start: int, heads: list[int]
) -> tuple[dict[int, _Unit], set[tuple[int, int]]]:
    """Return the units by number, in the order in which they run, and which feeds which.

    The number of a unit is its call, or above all calls for an operation outside any.
    """
    single = _single_levels(recorder.operations)
    units: dict[int, _Unit] = {}
    arrows: set[tuple[int, int]] = set()
    sources: dict[int, frozenset[int]] = {start: frozenset([INPUT])}
    for n, operation in enumerate(recorder.operations):
        fed: frozenset[int] = frozenset().union(*(sources[i] for i in operation.inputs))
        number = next((call for call in operation.calls if call in single), None)
        if number is None and operation.weighted:
            number = len(recorder.modules) + n
        if number is not None:
            level = single.get(number, operation.level)
            unit = units.setdefault(number, _Unit(level, []))
            arrows |= {(source, number) for source in fed if source != number}
            if operation.weighted:
                unit.operations += 1
                unit.channels = operation.channels
                unit.kinds += _kind(recorder, operation, number)
            fed = frozenset([number])
        sources.update(dict.fromkeys(operation.outputs, fed))
    for head in heads:
        for number in sources[head] - {INPUT}:
            units[number].output = True
    return units, {(a, b) for a, b in arrows if a != INPUT}


def _single_levels(operations: list[_Operation]) -> dict[int, int]:
    """The level of each call all whose weighted operations are at one."""
    levels: dict[int, set[int]] = {}
    for operation in operations:
        if operation.weighted:
            for call in operation.calls:
                levels.setdefault(call, set()).add(operation.level)
    return {call: next(iter(found)) for call, found in levels.items() if len(found) == 1}


def _kind(recorder: _Recorder, operation: _Operation, number: int) -> list[str]:
    """The class of the outermost module of a unit that is more than a layer; none for a layer."""
    inside = operation.calls[operation.calls.index(number) :] if number in operation.calls else ()
    modules = [recorder.modules[call] for call in inside]
    names = [type(m).__name__ for m in modules if not isinstance(m, LAYERS)]
    return [name for name in names if name not in PASSED][:1]


def _characterise(units: dict[int, _Unit], arrows: set[tuple[int, int]]) -> None:
    """Set the turns and the deepest level of each unit from those of its sources."""
    for number, unit in units.items():
        unit.deepest = unit.level
        for source in sorted(a for a, b in arrows if b == number):
            before = units[source]
            rising, falling = unit.level < before.level, unit.level > before.level
            odd = before.turns % 2 == 1
            turns = before.turns + ((rising and not odd) or (falling and odd))
            unit.turns = max(unit.turns, turns)
            unit.deepest = max(unit.deepest, before.deepest)


def _join_chains(units: dict[int, _Unit], arrows: set[tuple[int, int]]) -> None:
    """Make one unit of two while one only feeds the other, or ends in it, at one level."""
    while (pair := _chain(units, arrows)) is not None:
        first, second = pair
        only = sum(a == first for a, _ in arrows) == 1
        one, other = units[first], units.pop(second)
        if only and (one.output or not other.output):  # not a head or another side branch
            one.channels = other.channels
        if one.output or not other.output:
            one.kinds += other.kinds
        one.operations += other.operations
        one.output = one.output or other.output
        moved = {(first if a == second else a, first if b == second else b) for a, b in arrows}
        arrows.clear()
        arrows |= {(a, b) for a, b in moved if a != b}


def _chain(units: dict[int, _Unit], arrows: set[tuple[int, int]]) -> tuple[int, int] | None:
    """Two units that are one block, if any are left."""
    after: dict[int, set[int]] = {number: set() for number in units}
    before: dict[int, set[int]] = {number: set() for number in units}
    for a, b in arrows:
        after[a].add(b)
        before[b].add(a)
    for a, b in sorted(arrows):
        if units[a].key != units[b].key:
            continue
        aside = any(units[c].level == units[b].level for c in after[b])
        if after[a] == {b} or (before[b] == {a} and not aside):
            return a, b
    return None


def _as_wiring(units: dict[int, _Unit], arrows: set[tuple[int, int]]) -> Wiring:
    """Number the blocks in an order in which each stands behind all that feed it."""
    order: list[int] = []
    left = list(units)
    while left:
        ready = next(n for n in left if not any(b == n and a in left for a, b in arrows))
        left.remove(ready)
        order.append(ready)
    place = {number: n for n, number in enumerate(order)}
    blocks = tuple(
        Block(
            unit.level,
            unit.channels,
            " + ".join(dict.fromkeys(unit.kinds)) or "convolution",
            unit.operations,
            unit.output,
        )
        for unit in (units[number] for number in order)
    )
    return Wiring(blocks, tuple(sorted((place[a], place[b]) for a, b in arrows)))
