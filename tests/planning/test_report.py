from collections.abc import Callable
from typing import Any

from pipeline.planning import Fingerprint, make_plan, markdown_report, text_report

Make = Callable[..., Fingerprint]


def plans_of(facts: Fingerprint) -> dict[str, Any]:
    return {
        f"{preset} {dims}D": make_plan(facts, preset=preset, spatial_dims=dims).to_dict()
        for dims in (3, 2)
        for preset in ("compact", "full")
    }


def test_a_report_shows_facts_and_plan_each_with_its_rule(ct: Fingerprint) -> None:
    lines = text_report(ct, {"compact 3D": make_plan(ct).to_dict()})
    text = "\n".join(lines)
    assert "20 of 20 patients" in text
    assert "[48, 40, 24]" in text
    assert "[2, 2, 5] mm, in all cases" in text
    assert "share of spleen          2 %" in text
    assert "plan, compact 3D:" in lines
    place = next(i for i, line in enumerate(lines) if line.split()[:1] == ["spacing"])
    assert lines[place].split(maxsplit=1)[1] == "[2, 2, 5]"
    assert lines[place + 1].strip() == "median of the training cases"
    assert "the same on every machine" in text


def test_of_many_classes_the_extremes_are_told(make_facts: Make) -> None:
    names = tuple(f"bone {n}" for n in range(40))
    shares = (0.5, *(0.001 * n for n in range(40)))
    facts = make_facts(classes=names, shares=shares, values=tuple((n + 1,) for n in range(40)))
    text = "\n".join(text_report(facts, {"compact 3D": make_plan(facts).to_dict()}))
    assert "shares of 40 classes     0.1 % (bone 1) to 3.9 % (bone 39)" in text
    assert "never present            1 of them" in text
    assert "41 numbers, 0 to " in text  # the sampling
    assert "share of bone" not in text


def test_plans_that_agree_on_a_value_share_its_line_and_others_are_named(ct: Fingerprint) -> None:
    lines = text_report(ct, plans_of(ct))
    (norm,) = [line for line in lines if line.split()[:1] == ["norm"]]
    assert norm.split() == ["norm", "batch"]
    place = next(i for i, line in enumerate(lines) if line.split()[:1] == ["epoch_length"])
    assert lines[place].endswith("compact 3D, compact 2D: 50")
    assert lines[place + 2].strip() == "full 3D, full 2D: 250"


def test_what_is_expected_of_the_machine_stands_last_under_its_plan(ct: Fingerprint) -> None:
    lines = text_report(ct, plans_of(ct), {"unet, full 3D": ["memory  3 GiB"]})
    assert lines[-2:] == ["expected on this machine, unet, full 3D:", "  memory  3 GiB"]


def test_markdown_has_a_row_a_value_and_nothing_of_the_machine(ct: Fingerprint) -> None:
    lines = markdown_report(ct, plans_of(ct))
    (norm,) = [line for line in lines if line.startswith("| norm |")]
    assert norm.startswith("| norm | all | batch | the cases' means spread 0.2")
    assert {line.count(" | ") for line in lines if line.startswith("| ")} == {1, 3}
    assert "GiB" not in "\n".join(lines)


def test_options_of_the_network_are_told_once(ct: Fingerprint) -> None:
    plan = {**make_plan(ct).to_dict(), "network": {"widths": [8, 16], "norm": "batch"}}
    names = [line.split()[0] for line in text_report(ct, {"compact 3D": plan}) if line.strip()]
    assert names.count("norm") == 1
    assert names.count("widths") == 1


def test_a_spacing_that_varies_is_told_with_its_ends(
    make_facts: Callable[..., Fingerprint],
) -> None:
    facts = make_facts(spacing_range=((0.7, 0.7, 1.0), (1.0, 1.0, 8.0)))
    text = "\n".join(text_report(facts, {"compact 3D": make_plan(facts).to_dict()}))
    assert "[2, 2, 5] mm, from [0.7, 0.7, 1] to [1, 1, 8]" in text
