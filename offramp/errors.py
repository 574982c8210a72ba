"""What can go wrong, whose fault it is, and what a caller sees of it.

    OfframpError              exit code   gRPC status
    ├── ConfigError               2       INVALID_ARGUMENT      a setting, option or file of yours
    ├── CaptureError              3       INVALID_ARGUMENT      a model that cannot be cut
    ├── BundleError               4       DATA_LOSS             a bundle that is damaged or too new
    │   └── UnknownBundleError    4       NOT_FOUND             a bundle that is not loaded here
    ├── InputError                5       INVALID_ARGUMENT      a sample of the wrong shape or type
    │   ├── EngineError           5       INVALID_ARGUMENT      a sample no engine can compute with
    │   └── FrameError            5       INVALID_ARGUMENT      bytes that are no frame
    │       └── MissingReferenceError 5   FAILED_PRECONDITION   a change from a sample not kept
    ├── LinkError                 6       UNAVAILABLE           a peer that cannot be reached
    ├── AddressError              7       FAILED_PRECONDITION   an address that is taken or bad
    ├── PlanError                 8       FAILED_PRECONDITION   no plan meets the objective
    ├── OverloadError             9       RESOURCE_EXHAUSTED    a server that refuses more work
    │   ├── DeadlineError         9       DEADLINE_EXCEEDED     work that came or ended too late
    │   └── AbsentBundleError     9       RESOURCE_EXHAUSTED    a bundle that is not in memory now
    ├── TrainingError            10       FAILED_PRECONDITION   a training that cannot go on
    └── AuthenticationError      11       UNAUTHENTICATED       a peer that is not who it must be
        └── RightsError          11       PERMISSION_DENIED     a client that may not do this

Every message is one sentence that names the offending value and says what to do. A `ConfigError`
is a `ValueError` too, so that settings say at which key it was raised.
"""

from __future__ import annotations

__all__ = [
    "AbsentBundleError",
    "AddressError",
    "AuthenticationError",
    "BundleError",
    "CaptureError",
    "ConfigError",
    "DeadlineError",
    "EngineError",
    "FrameError",
    "InputError",
    "LinkError",
    "MissingReferenceError",
    "OfframpError",
    "OverloadError",
    "PlanError",
    "RightsError",
    "TrainingError",
    "UnknownBundleError",
]


class OfframpError(Exception):
    """Any error that Offramp raises on purpose."""

    exit_code = 1
    status = "INTERNAL"


class ConfigError(OfframpError, ValueError):
    """A setting or option is wrong, or a file that it names cannot be read."""

    exit_code = 2
    status = "INVALID_ARGUMENT"


class CaptureError(OfframpError):
    """A model cannot be captured, cut or exported."""

    exit_code = 3
    status = "INVALID_ARGUMENT"


class BundleError(OfframpError):
    """A bundle is truncated, altered, or of a version that this release cannot read."""

    exit_code = 4
    status = "DATA_LOSS"


class UnknownBundleError(BundleError):
    """A bundle is asked for by a digest that is not loaded here."""

    status = "NOT_FOUND"


class InputError(OfframpError):
    """A sample does not have the shape or dtype that the model takes."""

    exit_code = 5
    status = "INVALID_ARGUMENT"


class EngineError(InputError):
    """An engine cannot compute with a sample; the server's log tells of it too."""


class FrameError(InputError):
    """Bytes that came over the wire are not a frame of the expected tensor."""


class MissingReferenceError(FrameError):
    """A frame holds the change from a sample that is not kept, or not any more."""

    status = "FAILED_PRECONDITION"


class LinkError(OfframpError):
    """The peer cannot be reached, or the connection broke."""

    exit_code = 6
    status = "UNAVAILABLE"


class AddressError(OfframpError):
    """An address cannot be listened on, for example because its port is in use."""

    exit_code = 7
    status = "FAILED_PRECONDITION"


class PlanError(OfframpError):
    """No plan meets the objective, or a profile does not fit the bundle."""

    exit_code = 8
    status = "FAILED_PRECONDITION"


class OverloadError(OfframpError):
    """The server refuses work that it has no room for."""

    exit_code = 9
    status = "RESOURCE_EXHAUSTED"


class DeadlineError(OverloadError):
    """Work came too late, or could not end, before its deadline."""

    status = "DEADLINE_EXCEEDED"


class AbsentBundleError(OverloadError):
    """A bundle that is known and not in memory; it may be tried again after ``retry_after_s``."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TrainingError(OfframpError):
    """A training cannot go on, such as one whose loss is no longer a number."""

    exit_code = 10
    status = "FAILED_PRECONDITION"


class AuthenticationError(OfframpError):
    """A peer does not show who it is: its token or certificate is missing or wrong."""

    exit_code = 11
    status = "UNAUTHENTICATED"


class RightsError(AuthenticationError):
    """A client is known, but may not do what it asks for."""

    status = "PERMISSION_DENIED"
