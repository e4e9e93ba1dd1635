"""The fingerprint and plans of a set as text or Markdown: each value with the rule behind it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.planning.facts import Fingerprint

Values = Mapping[str, Any]

SILENT: Final = ("why", "spatial_dims", "network")
MANY: Final = 24  # classes or numbers that are no longer told one by one
NETWORK: Final = "network: "
ABSENT: Final = {"strides": "2 everywhere"}
SAME: Final = (
    "The plan is the same on every machine, unless its memory forces smaller patches or fewer of "
    "them; that is said where it happens."
)


def text_report(
    facts: Fingerprint,
    plans: Mapping[str, Values],
    expected: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Return facts and plans as lines for a terminal.

    Args:
        facts: The fingerprint.
        plans: Plans as `pipeline.bundles.plan` gives them, by what to call them.
        expected: For each of these names what is expected of this machine.
    """
    lines = [f"{facts.name} (manifest {facts.hash[:12]})"]
    lines += [f"  {name:24} {value}" for name, value in fact_rows(facts)]
    lines += ["", f"plan, {', '.join(plans)}:"]
    for name, groups in plan_rows(plans):
        for place, (owners, value, why) in enumerate(groups):
            head = name if place == 0 else ""
            owner = f"{', '.join(owners)}: " if len(owners) < len(plans) else ""
            lines.append(f"  {head:16} {owner}{value}")
            if why:
                lines.append(f"  {'':16}   {why}")
    lines += ["", SAME]
    for name, rows in (expected or {}).items():
        lines += ["", f"expected on this machine, {name}:", *(f"  {row}" for row in rows)]
    return lines


def markdown_report(facts: Fingerprint, plans: Mapping[str, Values]) -> list[str]:
    """Return facts and plans as Markdown, without anything that depends on the machine."""
    lines = ["| fact | of the training cases |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in fact_rows(facts)]
    lines += ["", "| value | plan | what | because |", "|---|---|---|---|"]
    for name, groups in plan_rows(plans):
        for place, (owners, value, why) in enumerate(groups):
            owner = ", ".join(owners) if len(owners) < len(plans) else "all"
            lines.append(f"| {name if place == 0 else ''} | {owner} | {value} | {why} |")
    return lines


def fact_rows(facts: Fingerprint) -> list[tuple[str, str]]:
    """Return the facts by name, in words and numbers."""
    rows = [
        ("training cases", f"{facts.cases} of {facts.patients} patients"),
        ("validation cases", f"{facts.validation_cases}"),
        ("modality", ", ".join(facts.modality)),
        ("median shape", _text(facts.shape)),
        ("median spacing", _spacing(facts)),
        *(
            (
                f"foreground, channel {c}",
                f"{i.mean:g} +- {i.std:g}, {i.low:g} to {i.high:g} (percentiles 0.5 and 99.5)",
            )
            for c, i in enumerate(facts.intensity)
        ),
        ("variety", f"{facts.variety:g} (spread of the cases' means over that within a case)"),
    ]
    if facts.polarity is not None:
        rows.append(("darker foreground", f"{facts.polarity.darker:.3g} of the cases"))
    rows.append(("head", facts.head))
    return rows + _shares(facts)


def _shares(facts: Fingerprint) -> list[tuple[str, str]]:
    """How much of the voxels each class has; of many classes, the extremes."""
    shares = dict(zip(("background", *facts.classes), facts.shares, strict=True))
    if len(facts.classes) <= MANY:
        return [(f"share of {name}", f"{100 * share:.3g} %") for name, share in shares.items()]
    background = shares.pop("background")
    there = {name: share for name, share in shares.items() if share}
    ends = [f"{100 * there[n]:.3g} % ({n})" for n in sorted(there, key=lambda n: there[n])]
    return [
        ("share of background", f"{100 * background:.3g} %"),
        (f"shares of {len(shares)} classes", " to ".join(dict.fromkeys(ends[:1] + ends[-1:]))),
        ("never present", f"{len(shares) - len(there)} of them"),
    ]


def plan_rows(
    plans: Mapping[str, Values],
) -> Iterator[tuple[str, list[tuple[list[str], str, str]]]]:
    """Yield each value's name with who has which value, and why; who agree share an entry."""
    first = next(iter(plans.values()))
    names = [name for name in first if name not in SILENT]
    options = dict.fromkeys(o for plan in plans.values() for o in plan.get("network", {}))
    taken = [f"{NETWORK}{o}" for o in options if o not in (*names, "img_size")]
    for name in [*names, *taken]:
        groups: dict[tuple[str, str], list[str]] = {}
        for owner, plan in plans.items():
            groups.setdefault(_entry(plan, name), []).append(owner)
        told = [(owners, value, why) for (value, why), owners in groups.items() if value]
        if told:
            yield name.removeprefix(NETWORK), told


def _entry(plan: Values, name: str) -> tuple[str, str]:
    """A value as text, empty where there is nothing to say, and its reason."""
    if name.startswith(NETWORK):
        value = plan.get("network", {}).get(name.removeprefix(NETWORK))
        return (_text(value), "the preset's") if value is not None else ("", "")
    value, why = plan[name], plan["why"].get(name, "")
    if value is None and name in ABSENT:
        return (ABSENT[name], why) if why else ("", "")
    return ("", "") if value is None and not why else (_text(value), why)


def _spacing(facts: Fingerprint) -> str:
    if facts.spacing is None or facts.spacing_range is None:
        return "none"
    least, most = facts.spacing_range
    same = least == most
    between = "in all cases" if same else f"from {_text(least)} to {_text(most)}"
    return f"{_text(facts.spacing)} mm, {between}"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        if len(value) > MANY and all(isinstance(v, int | float) for v in value):
            return f"{len(value)} numbers, {min(value):g} to {max(value):g}"
        return "[" + ", ".join(_text(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
