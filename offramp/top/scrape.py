"""Scraping: one endpoint's metrics as text, within limits of time and size."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from offramp.address import Address
from offramp.errors import ConfigError, LinkError

__all__ = ["endpoint_url", "scrape"]

_LIMIT_S = 2.0
_LIMIT_BYTES = 8 << 20
_CHUNK_BYTES = 1 << 16
_SCHEMES = ("http", "https")

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def endpoint_url(text: str) -> str:
    """Return the address of an endpoint given as HOST:PORT or as a URL; raise `ConfigError`."""
    if "://" not in text:
        return f"http://{Address.parse_peer(text)}/metrics"
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigError(f"{text!r} is no address of metrics; write HOST:PORT or http://HOST:PORT")
    return text if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}/metrics"


def scrape(url: str) -> str:
    """Return what an endpoint shows; raise `LinkError` if that takes too long or too much."""
    end_s = time.monotonic() + _LIMIT_S
    said = bytearray()
    try:
        with _direct.open(url, timeout=_LIMIT_S) as reply:
            while chunk := reply.read1(_CHUNK_BYTES):
                said += chunk
                if len(said) > _LIMIT_BYTES:
                    raise LinkError(f"{url} shows more than {_LIMIT_BYTES >> 20} MiB")
                if time.monotonic() > end_s:
                    raise LinkError(f"{url} takes more than {_LIMIT_S:g} s")
    except urllib.error.HTTPError as error:
        error.close()
        raise LinkError(f"{url} does not answer: {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise LinkError(f"{url} does not answer: {_reason(error)}") from None
    return said.decode("utf-8", "replace")


def _reason(error: Exception) -> str:
    """Return why a request failed, in the system's words if it has some."""
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
