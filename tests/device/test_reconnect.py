"""How long a device waits before it connects again."""

from device.reconnect import Reconnection, pause_s


def test_pauses_grow_to_a_second_and_begin_anew_with_an_open_connection():
    reconnection = Reconnection()
    refused = [reconnection.ended(opened=False) for _ in range(5)]
    assert refused == [0.2, 0.5, 1.0, 1.0, 1.0]
    assert reconnection.ended(opened=True) == 0.1
    assert reconnection.ended(opened=False) == 0.2


def test_the_first_pause_is_the_shortest():
    assert [pause_s(failures) for failures in range(6)] == [0.1, 0.2, 0.5, 1.0, 1.0, 1.0]
