"""The fingerprint and the plan as text: each value with the rule that led to it."""

from collections.abc import Sequence
from typing import Any, Final

from pipeline.manifests import Manifest
from pipeline.planning.fingerprint import Fingerprint, fingerprint
from pipeline.planning.plan import Plan, make_plan

# Four and five levels
DIVISORS: Final = {"compact": 8, "full": 16}


def report(
    manifest: Manifest,
    preset: str = "compact",
    spatial_dims: int = 3,
    *,
    fold: int | None = None,
    divisor: int | Sequence[int] | None = None,
) -> list[str]:
    """Return the lines that `unetworks data plan` prints.

    Args:
        manifest: The set.
        preset: `compact` or `full`.
        spatial_dims: 2 or 3.
        fold: Of the manifest.
        divisor: Of the network; None: that of a plain U-Net of the preset.
    """
    facts = fingerprint(manifest, fold)
    divisor = divisor or DIVISORS.get(preset, 16)
    plan = make_plan(facts, preset=preset, spatial_dims=spatial_dims, divisor=divisor)
    return [*_facts_lines(facts), "", f"plan, {preset}, {spatial_dims}D:", *_plan_lines(plan)]


def _facts_lines(facts: Fingerprint) -> list[str]:
    rows = [
        ("training cases", f"{facts.cases} of {facts.patients} patients"),
        ("modality", ", ".join(facts.modality)),
        ("median shape", _text(facts.shape)),
        ("median spacing", f"{_text(facts.spacing)} mm" if facts.spacing else "none"),
        *(
            (f"foreground, channel {c}", f"{i.mean:g} +- {i.std:g}, {i.low:g} to {i.high:g}")
            for c, i in enumerate(facts.intensity)
        ),
        ("variety", f"{facts.variety:g}"),
        ("head", facts.head),
        *(
            (f"share of {name}", f"{100 * share:.3g} %")
            for name, share in zip(("background", *facts.classes), facts.shares, strict=True)
        ),
    ]
    return [f"{facts.name} (manifest {facts.hash[:12]})", *(f"  {k:24} {v}" for k, v in rows)]


def _plan_lines(plan: Plan) -> list[str]:
    lines = []
    for name, value in plan.to_dict().items():
        if name not in ("why", "spatial_dims"):
            lines.append(f"  {name:16} {_text(value)}")
            if name in plan.why:
                lines.append(f"  {'':16}   {plan.why[name]}")
    return lines


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_text(v) for v in value) + "]"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
