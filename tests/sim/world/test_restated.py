"""What the world restates of modules with threads and sockets is what they say."""

from device import agent, channel
from sim.world import device


def test_a_virtual_device_waits_and_pauses_as_the_agent_does():
    assert device._WARM_S == agent._WARM_S
    assert device._SHORTEST_PAUSE_S == agent._SHORTEST_PAUSE_S


def test_a_silent_server_is_given_up_when_the_transport_gives_it_up():
    """A ping goes out after one keepalive's time of silence and has another one to come back."""
    assert device._SILENCE_S == 2 * channel._KEEPALIVE_MS / 1e3
