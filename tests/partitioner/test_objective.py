"""An objective is looked up by its hash, in whichever process it is."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from partitioner.objective import Limits, Objective, Tail


def test_an_objective_that_goes_to_another_process_has_the_hash_of_its_like_there() -> None:
    known, fresh = (Objective(minimise="p95", deadline_s=0.1) for _ in range(2))
    assert hash(known) == hash(fresh)
    unknown = Objective(minimise="p95", deadline_s=0.1)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(hash, known).result() == pool.submit(hash, unknown).result()


def test_every_quantile_may_be_limited() -> None:
    limits = Limits.model_validate({"p99.9_s": 0.4, "p37_s": 0.1, "p99_s": 0.3, "energy_j": 1})
    assert limits.given() == {"p99.9": 0.4, "p37": 0.1, "p99": 0.3, "energy": 1.0}
    objective = Objective(limits=limits)
    assert set(objective.tails) == {Tail(0.99, 0.3), Tail(0.999, 0.4), Tail(0.37, 0.1)}
    written = objective.model_dump_json(exclude_defaults=True)
    read = Objective.model_validate_json(written)
    assert read == objective
    assert hash(read) == hash(objective)
    assert pickle.loads(pickle.dumps(objective)) == objective
    assert limits.model_copy(update={"energy_j": None}).given() == {
        "p99.9": 0.4,
        "p37": 0.1,
        "p99": 0.3,
    }
    assert limits != Limits.model_validate({**limits.model_dump(), "p37_s": 0.2})
