"""YAML texts as plain values, in which no key stands twice."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from offramp.errors import ConfigError

if TYPE_CHECKING:
    import yaml

__all__ = ["parse_yaml"]


def parse_yaml(data: bytes, origin: str) -> Any:
    """Return what a YAML text holds; raise `ConfigError` that names ``origin`` and the line.

    YAML itself forbids a key that stands twice in a mapping, but PyYAML keeps the last one without
    a word. Merged keys (``<<``) may be given again.
    """
    import yaml  # here, since most starts have no file

    try:
        loader = _loader()(data.decode())
        try:
            return loader.get_single_data()
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
