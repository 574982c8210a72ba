"""Ending calls: how a refusal becomes the status of a gRPC call."""

from __future__ import annotations

from typing import Any

import grpc

from offramp.messages import STATUS_CODES, Failure

__all__ = ["end_call"]

_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
_TRAILER_RETRY_MS = "grpc-retry-pushback-ms"  # gRFC A6: gRPC's own retries obey it


async def end_call(context: grpc.aio.ServicerContext[Any, Any], failure: Failure) -> None:
    """End a call with a failure; raises what gRPC raises to leave its handler."""
    retry_ms = round(failure.retry_after_s * 1e3)
    trailers = ((_TRAILER_RETRY_MS, str(max(retry_ms, 1))),) if failure.retry_after_s else ()
    await context.abort(_GRPC_CODES[STATUS_CODES[failure.status]], failure.message, trailers)
