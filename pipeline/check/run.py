"""All cases of a manifest measured in parallel, then judged."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from pipeline.check.across import (
    check_absent,
    check_duplicates,
    check_foreign_grids,
    check_identities,
    check_patients,
    divisions_of,
)
from pipeline.check.cache import load_facts, stamp_of, store_facts
from pipeline.check.facts import CaseFacts
from pipeline.check.findings import SET, Report
from pipeline.check.measure import measure
from pipeline.check.outliers import check_outliers
from pipeline.check.sides import check_sides
from pipeline.check.single import check_case
from pipeline.errors import InvalidValueError, ResourceError
from pipeline.manifests import Case, Manifest
from pipeline.progress import progress


def check_manifest(
    manifest: Manifest, *, fold: int | None = None, jobs: int | None = None, quiet: bool = False
) -> Report:
    """Return what is wrong with the files of a manifest.

    Args:
        manifest: The data set.
        fold: Check the cases of this fold alone; None: all cases, all divisions.
        jobs: Processes that read; None: one a core.
        quiet: No progress bar.

    Raises:
        InvalidValueError: No such fold, or fewer than one process.
        ResourceError: A process was ended from outside.
    """
    if jobs is not None and jobs < 1:
        raise InvalidValueError(f"--jobs {jobs} reads nothing", hint="give 1 or more")
    divisions = divisions_of(manifest, fold)
    chosen = divisions[0] if fold is not None else None
    cases = [case for case in manifest.cases if chosen is None or case.id in chosen]
    facts, read = _gather(cases, jobs, quiet=quiet)
    findings = [finding for fact in facts for finding in check_case(fact, manifest)]
    findings += check_patients(cases, divisions)
    findings += check_identities(facts, cases, divisions)
    findings += check_duplicates(facts, divisions)
    findings += check_foreign_grids(facts)
    findings += check_absent(facts, manifest)
    findings += check_sides(facts, manifest.labels)
    findings += check_outliers(facts, manifest.labels, ct=manifest.modality == "CT")
    order = {case.id: n for n, case in enumerate(cases)} | {SET: -1}
    findings.sort(key=lambda finding: (finding.level, order[finding.case]))
    return Report(manifest.name, manifest.hash, len(cases), read, tuple(findings))


def _gather(cases: Sequence[Case], jobs: int | None, *, quiet: bool) -> tuple[list[CaseFacts], int]:
    """Facts of all cases, in their order, and how many were not in the cache."""
    stamps = [stamp_of(case) for case in cases]
    facts = [load_facts(case, stamp) for case, stamp in zip(cases, stamps, strict=True)]
    missing = [n for n, known in enumerate(facts) if known is None]
    new = _measure_all([cases[n] for n in missing], jobs or _cores())
    for n, fact in zip(
        missing, progress(new, "checking", total=len(missing), quiet=quiet), strict=True
    ):
        facts[n] = fact
        store_facts(cases[n], stamps[n], fact)
    return [fact for fact in facts if fact is not None], len(missing)


def _measure_all(cases: Sequence[Case], jobs: int) -> Iterator[CaseFacts]:
    """Measure cases in their order; in this process where others would not pay."""
    jobs = min(jobs, len(cases))
    if jobs <= 1:
        yield from map(measure, cases)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy threads and locks
    pool = ProcessPoolExecutor(jobs, mp_context=context)
    try:
        yield from pool.map(measure, cases, chunksize=min(8, -(-len(cases) // (4 * jobs))))
    except BrokenProcessPool:
        raise ResourceError(
            "a process that read the cases was ended from outside, mostly for want of memory",
            hint="try --jobs 1",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
