"""An objective is looked up by its hash, in whichever process it is."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from partitioner.objective import Objective


def test_an_objective_that_goes_to_another_process_has_the_hash_of_its_like_there() -> None:
    known, fresh = (Objective(minimise="p95", deadline_s=0.1) for _ in range(2))
    assert hash(known) == hash(fresh)
    unknown = Objective(minimise="p95", deadline_s=0.1)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(hash, known).result() == pool.submit(hash, unknown).result()
