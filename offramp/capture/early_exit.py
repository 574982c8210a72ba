"""A model with early exits, put together without touching the model's own code."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from offramp.bottlenecks import Bottleneck
from offramp.errors import CaptureError
from offramp.exits.heads import CarryingHead

__all__ = ["EarlyExitModel", "check_submodule"]


class EarlyExitModel(nn.Module):
    """A model and exit heads that read the outputs of its named sub-modules.

    ``heads`` maps a sub-module's path, as in ``model.named_modules()``, to the head that answers
    from that sub-module's output. ``forward`` returns the logits of every exit in the order in
    which the model reaches them, and the model's own output last: train it with any loss over
    that list (BranchyNet, arXiv 1709.01686, sums the cross-entropies). A head that carries a code
    goes on from that of the one before in ``heads``, so give these as the model reaches them.
    ``bottlenecks``, by the paths of sub-modules too, are pairs by which their outputs may be sent;
    what the model returns does not pass through them.
    """

    def __init__(
        self,
        model: nn.Module,
        heads: Mapping[str, nn.Module],
        bottlenecks: Mapping[str, Bottleneck] | None = None,
    ) -> None:
        super().__init__()
        for path in heads:
            check_submodule(model, path)
        for path in bottlenecks or {}:
            check_submodule(model, path, "to put a bottleneck behind")
        self.narrowed = tuple(bottlenecks or {})
        self.bottlenecks = nn.ModuleList((bottlenecks or {}).values())
        self.model = model
        self.paths = tuple(heads)
        self.heads = nn.ModuleList(heads.values())
        carrying = [(p, head) for p, head in heads.items() if isinstance(head, CarryingHead)]
        for (path, before), (_, behind) in pairwise(carrying):
            if behind.follows is None:
                behind.follow(path)
            before.followed = True

    @property
    def pairs(self) -> dict[str, Bottleneck]:
        """The bottlenecks by the sub-modules behind which they are."""
        return dict(zip(self.narrowed, self.bottlenecks, strict=True))  # type: ignore[arg-type]

    def forward(self, *inputs: Tensor, **named: Tensor) -> list[Tensor]:
        """Return every exit's logits and the model's own output."""
        answers: list[Tensor] = []
        codes: dict[str, Tensor] = {}
        modules = dict(self.model.named_modules())
        hooks = [
            modules[path].register_forward_hook(
                lambda _module, _inputs, output, path=path, head=head: answers.append(
                    _answer(path, head, output, codes)
                )
            )
            for path, head in zip(self.paths, self.heads, strict=True)
        ]
        try:
            final = self.model(*inputs, **named)
        finally:
            for hook in hooks:
                hook.remove()
        return [*answers, final]


def _answer(path: str, head: nn.Module, feature: Tensor, codes: dict[str, Tensor]) -> Tensor:
    if not isinstance(head, CarryingHead):
        logits: Tensor = head(feature)
        return logits
    if head.follows is not None and head.follows not in codes:
        raise CaptureError(
            f"exit {path!r} goes on from {head.follows!r}, which the model reaches later; name "
            "exits in the order in which it reaches them"
        )
    logits, codes[path] = head.carry(feature, codes.get(head.follows or ""))
    return logits


def check_submodule(model: nn.Module, path: str, purpose: str = "to put an exit on") -> None:
    """Raise `CaptureError` that names a model's sub-modules unless ``path`` is one of them."""
    modules = dict(model.named_modules())
    if path not in modules:
        raise CaptureError(
            f"no sub-module {path!r} {purpose}; the model has: "
            + ", ".join(name for name in modules if name)
        )
