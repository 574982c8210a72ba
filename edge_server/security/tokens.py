"""Tokens: secrets by which clients show who they are, of which a server keeps the hashes alone."""

from __future__ import annotations

import hashlib
import secrets

__all__ = ["new_token", "token_hash"]

_PREFIX = "offramp_"  # by which scanners of repositories and logs can tell what they found
_RANDOM_BYTES = 32


def new_token() -> str:
    """Return a fresh token: 256 random bits behind a prefix that says what it is."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def token_hash(token: str) -> str:
    """Return a token's SHA-256, 64 hexadecimal digits.

    Slow and salted hashes protect passwords, of which there are few enough to be guessed. Nobody
    guesses 256 random bits, however quick the hash; so a quick one is as safe, and lets a server
    that is asked by strangers refuse them at next to no cost.
    """
    return hashlib.sha256(token.encode()).hexdigest()
