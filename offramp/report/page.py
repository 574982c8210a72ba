"""Pages: HTML from a template, one file that needs nothing else, to keep or to send on."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from offramp.extras import require_extra

__all__ = ["render_page", "require_packages"]

_SHARED = ("base.html", "parts.html")


def require_packages() -> None:
    """Raise `ConfigError` that says what to install where figures or pages cannot be made."""
    require_extra("demo", "jinja2", "matplotlib")


def render_page(package: str, template: str, **values: Any) -> str:
    """Return a page made from a package's template.

    It may extend ``base.html`` of this one, and import from its ``parts.html``.

    Who calls it has seen to it that the packages are there (`require_packages`).
    """
    from jinja2 import DictLoader, Environment, StrictUndefined

    texts = {
        name: files(place).joinpath(name).read_text(encoding="utf-8")
        for place, name in (*((__package__, name) for name in _SHARED), (package, template))
    }
    environment = Environment(
        loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(**values)
