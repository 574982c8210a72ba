"""YAML texts as plain values, in which no key stands twice."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from offramp.errors import ConfigError

if TYPE_CHECKING:
    import yaml

__all__ = ["parse_yaml"]

_MOST_VALUES = 100_000


def parse_yaml(data: bytes, origin: str) -> Any:
    """Return what a YAML text holds; raise `ConfigError` that names ``origin`` and the line.

    YAML itself forbids a key that stands twice in a mapping, but PyYAML keeps the last one without
    a word. Merged keys (``<<``) may be given again. Aliases may not make a few lines endless.
    """
    import yaml  # here, since most starts have no file

    try:
        loader = _loader()(data.decode())
        try:
            node = loader.get_single_node()
            _refuse_endless(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except UnicodeDecodeError:
        raise ConfigError(f"{origin}: not a text in UTF-8; name a YAML file") from None
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise ConfigError(f"{origin}: not valid YAML{line}; correct the file") from None
    except RecursionError:
        raise ConfigError(f"{origin}: lists are nested too deep; correct the file") from None
    except Exception as error:  # PyYAML's constructors let pass what their values raise
        raise ConfigError(
            f"{origin}: holds a value that cannot be read ({str(error)[:80]}); correct the file"
        ) from None


@cache
def _loader() -> type[yaml.SafeLoader]:
    import yaml

    class Loader(yaml.SafeLoader):
        """The safe loader, but that it refuses a key that stands twice."""

        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            node = super().compose_mapping_node(anchor)
            _refuse_twice(node)
            return node

    return Loader


def _refuse_endless(node: yaml.Node | None) -> None:
    """Refuse aliases that stand for so much that whoever goes through it does not come to an end.

    A few lines in which each names the one before ten times are as good as a billion.
    """
    if node is not None and _spread(node, {}) > _MOST_VALUES:
        raise ConfigError(
            f"it stands for more than {_MOST_VALUES} values, by aliases (*) or as it is; give fewer"
        )


def _spread(node: yaml.Node, known: dict[int, float]) -> float:
    """Return how many values a node stands for; without end if it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is counted
        parts = node.value if isinstance(node.value, list) else []
        flat = (each for part in parts for each in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = 1 + sum(_spread(one, known) for one in flat)
    return known[id(node)]


def _refuse_twice(node: yaml.MappingNode) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key.value, str):
            continue  # a list or a mapping, which no settings have for a key
        line, named = key.start_mark.line + 1, (key.tag, key.value)
        if named in lines:
            raise ConfigError(
                f"line {line}: the key {key.value!r} stands on line {lines[named]} already; "
                "remove one of them"
            )
        lines[named] = line
