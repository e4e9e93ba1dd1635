from collections.abc import Mapping

import pytest

from pipeline.phantom import Member, Rendering, cohort, draw_patient, render


@pytest.fixture(scope="session")
def scans() -> Mapping[Member, Rendering]:
    """Every member of the phantom on its own grid."""
    return {member: render(draw_patient(member.seed)) for member in cohort()}
