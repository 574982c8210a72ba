"""Whatever ends gRPC's server but us, another one listens at the same address."""

import asyncio

import grpc
import pytest

NO_TEXT = b"/offramp.v1.Edge/Infe\xf2"


async def ask_for_no_text(address):
    """Call a method whose name is no UTF-8, which ends the loop of grpcio's server."""
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary(NO_TEXT)(b"", timeout=0.2)


def test_a_path_that_is_no_text_ends_nothing_for_long(play, engine, sample, caplog):
    async def story(served):
        stream = served.stream()
        await stream.send(sample.request(number=1))
        sample.check(await stream.receive())
        for number in range(2, 4):
            await ask_for_no_text(served.address)
            async with asyncio.timeout(10), grpc.aio.insecure_channel(served.address) as channel:
                await channel.channel_ready()
                served.channel = channel
                sample.check(await served.infer(sample.request()))
            await stream.send(sample.request(number=number))  # one that is open goes on
            assert (await stream.receive()).id == number

    play(engine, story)
    said = [record for record in caplog.records if "ended by itself" in record.getMessage()]
    assert len(said) == 2


def test_a_server_whose_front_was_set_up_again_still_stops(play, engine, sample):
    async def story(served):
        stream = served.stream()
        await stream.send(sample.request(number=1))
        sample.check(await stream.receive())
        await ask_for_no_text(served.address)
        async with asyncio.timeout(10), grpc.aio.insecure_channel(served.address) as channel:
            await channel.channel_ready()
        async with asyncio.timeout(10):
            stopping = asyncio.create_task(served.server.stop())
            assert await stream.ended() == grpc.StatusCode.UNAVAILABLE
            await stopping

    play(engine, story, grace_s=1)
