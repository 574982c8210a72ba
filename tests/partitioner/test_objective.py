"""Objectives are looked up by their hash, in whichever process, and may limit any quantile."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from partitioner.objective import Limits, Objective


def test_an_objective_that_goes_to_another_process_has_the_hash_of_its_like_there() -> None:
    known, fresh = (Objective(minimise="p95", deadline_s=0.1) for _ in range(2))
    assert hash(known) == hash(fresh)
    unknown = Objective(minimise="p95", deadline_s=0.1)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(hash, known).result() == pool.submit(hash, unknown).result()


def test_every_quantile_may_be_limited() -> None:
    limits = Limits.model_validate({"p99.9_s": 0.4, "p37_s": 0.1, "p99_s": 0.3, "energy_j": 1})
    assert limits.given() == {"p99.9": 0.4, "p37": 0.1, "p99": 0.3, "energy": 1.0}
    tails = sorted(Objective(limits=limits).tails, key=lambda tail: tail.share)
    assert [tail.share for tail in tails] == pytest.approx([0.37, 0.99, 0.999])
    assert [tail.latest_s for tail in tails] == [0.1, 0.3, 0.4]


def test_limits_of_quantiles_are_read_as_they_were_written() -> None:
    objective = Objective(limits={"p37_s": 0.1, "p99_s": 0.3})
    read = Objective.model_validate_json(objective.model_dump_json(exclude_defaults=True))
    assert read == objective
    assert hash(read) == hash(objective)
    assert read != Objective(limits={"p37_s": 0.2, "p99_s": 0.3})
