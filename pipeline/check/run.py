"""All cases of a manifest measured in parallel, then judged."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from pipeline.check.across import (
    Divisions,
    check_absent,
    check_duplicates,
    check_foreign_grids,
    check_identities,
    check_patients,
    check_white,
    divisions_of,
)
from pipeline.check.cache import load_facts, stamp_of, store_facts
from pipeline.check.facts import CaseFacts
from pipeline.check.findings import SET, Report
from pipeline.check.measure import measure, measure_header
from pipeline.check.outliers import check_outliers
from pipeline.check.sides import check_sides
from pipeline.check.single import check_case
from pipeline.errors import InvalidValueError, ResourceError
from pipeline.io import file_stamps
from pipeline.manifests import Case, Manifest
from pipeline.progress import progress

WORTH_BYTES = 32 << 20  # from so many on further processes read: each takes half a second to start
Look = Callable[[Case], CaseFacts]


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
    facts, read = _gather(cases, measure, jobs or _cores(), quiet=quiet)
    return _report(manifest, cases, facts, read, divisions)


def check_for_training(
    manifest: Manifest, *, fold: int | None = None, quiet: bool = False
) -> Report:
    """Return what is wrong with the files that a training uses.

    Images and labels of `train` and `val` are read, of `test` the headers of the images alone:
    what is only reported in the end is not looked at before. What is wrong with such a header is
    a warning, for the training itself does not need it.

    Args:
        manifest: The data set.
        fold: The fold that is trained; None: the manifest's split.
        quiet: No progress bar.

    Raises:
        InvalidValueError: No such fold, or no division without one.
        ResourceError: A process was ended from outside.
    """
    read_whole = [*manifest.part("train", fold), *manifest.part("val", fold)]
    held_out = [replace(case, label=None) for case in manifest.part("test", fold)]
    jobs = _processes(read_whole)
    facts, read = _gather(read_whole, measure, jobs, quiet=quiet)
    headers, opened = _gather(held_out, measure_header, jobs, quiet=quiet)
    divisions = divisions_of(manifest, fold)[:1]
    cases = [*read_whole, *held_out]
    later = frozenset(case.id for case in held_out)
    return _report(manifest, cases, [*facts, *headers], read + opened, divisions, later)


def _report(
    manifest: Manifest,
    cases: Sequence[Case],
    facts: Sequence[CaseFacts],
    read: int,
    divisions: Divisions,
    later: frozenset[str] = frozenset(),
) -> Report:
    """Judge the facts of all cases; nothing that is wrong with one of `later` alone is an error."""
    whole = [fact for fact in facts if fact.image is None or fact.image.low]
    findings = [finding for fact in facts for finding in check_case(fact, manifest)]
    findings = [replace(f, level="warning") if f.case in later else f for f in findings]
    findings += check_patients(cases, divisions)
    findings += check_identities(facts, cases, divisions)
    findings += check_duplicates(facts, divisions)
    findings += check_foreign_grids(facts)
    findings += check_absent(facts, manifest)
    findings += check_white(facts, manifest)
    findings += check_sides(whole, manifest.labels)
    findings += check_outliers(whole, manifest.labels, ct=manifest.modality == "CT")
    order = {case.id: n for n, case in enumerate(cases)} | {SET: -1}
    findings.sort(key=lambda finding: (finding.level, order[finding.case]))
    return Report(manifest.name, manifest.hash, len(cases), read, tuple(findings))


def _gather(
    cases: Sequence[Case], look: Look, jobs: int, *, quiet: bool
) -> tuple[list[CaseFacts], int]:
    """Facts of all cases, in their order, and how many were not in the cache."""
    kind = look.__name__
    stamps = [stamp_of(case) for case in cases]
    facts = [load_facts(case, stamp, kind) for case, stamp in zip(cases, stamps, strict=True)]
    missing = [n for n, known in enumerate(facts) if known is None]
    new = _look_at_all([cases[n] for n in missing], look, jobs)
    for n, fact in zip(
        missing, progress(new, "checking", total=len(missing), quiet=quiet), strict=True
    ):
        facts[n] = fact
        store_facts(cases[n], stamps[n], kind, fact)
    return [fact for fact in facts if fact is not None], len(missing)


def _processes(cases: Sequence[Case]) -> int:
    """One a core, where there is enough to read to be worth their start."""
    sizes = (size for case in cases for path in case.files for _, size, _ in file_stamps(path))
    return _cores() if sum(sizes) > WORTH_BYTES else 1


def _look_at_all(cases: Sequence[Case], look: Look, jobs: int) -> Iterator[CaseFacts]:
    """Look at cases in their order; in this process where others would not pay."""
    jobs = min(jobs, len(cases))
    if jobs <= 1:
        yield from map(look, cases)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy threads and locks
    pool = ProcessPoolExecutor(jobs, mp_context=context)
    try:
        yield from pool.map(look, cases, chunksize=min(8, -(-len(cases) // (4 * jobs))))
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
