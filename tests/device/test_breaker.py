from device.breaker import Breaker


def test_failures_in_a_row_open_it_and_one_success_closes_it():
    breaker = Breaker(failures=2, retry_s=0.5)
    breaker.fail(0.0)
    breaker.succeed()
    breaker.fail(1.0)
    assert breaker.closed
    breaker.fail(1.1)
    assert not breaker.closed
    breaker.succeed()
    assert breaker.closed


def test_a_broken_connection_opens_it_at_once():
    breaker = Breaker(failures=5)
    breaker.trip(0.0)
    assert not breaker.closed


def test_while_open_one_probe_goes_out_each_interval():
    breaker = Breaker(failures=1, retry_s=0.5)
    assert not breaker.may_probe(0.0)
    breaker.fail(1.0)
    times = [1.0, 1.4, 1.5, 1.6, 1.9, 2.0, 2.1, 9.0, 9.1]
    assert [t for t in times if breaker.may_probe(t)] == [1.5, 2.0, 9.0]


def test_more_failures_while_open_do_not_put_the_next_probe_off():
    breaker = Breaker(failures=1, retry_s=0.5)
    breaker.fail(0.0)
    breaker.fail(0.4)
    assert breaker.may_probe(0.5)
