"""Watched folders, look by look."""

from __future__ import annotations

import os
from pathlib import Path

from edge_server.bundles.folder import Changes, FolderWatch, Stamp, scan


def stamp(changed_ns: int = 1, size_bytes: int = 5) -> Stamp:
    return Stamp(changed_ns, size_bytes, inode=7)


NOTHING = Changes((), ())


def looks(watch: FolderWatch, *found: dict[str, Stamp] | None) -> list[Changes]:
    return [Changes(tuple(c.came), tuple(c.went)) for c in map(watch.look, found)]


def test_a_file_counts_once_it_has_not_changed_between_two_looks() -> None:
    growing = [{"a": stamp(size_bytes=size)} for size in (1, 2, 3, 3, 3)]
    assert looks(FolderWatch(), *growing) == [*[NOTHING] * 3, Changes(("a",), ()), NOTHING]


def test_files_come_in_the_order_in_which_they_were_written() -> None:
    found = {"a": stamp(3), "b": stamp(1), "c": stamp(2)}
    assert looks(FolderWatch(), found, found)[-1] == Changes(("b", "c", "a"), ())


def test_a_file_that_changes_comes_again_and_one_that_goes_is_missed_twice() -> None:
    watch = FolderWatch()
    looks(watch, {"a": stamp(1)}, {"a": stamp(1)})
    new = {"a": stamp(2)}
    assert looks(watch, {}, new, new, new) == [NOTHING, NOTHING, Changes(("a",), ()), NOTHING]
    assert looks(watch, {}, {}, {}) == [NOTHING, Changes((), ("a",)), NOTHING]


def test_nothing_goes_with_the_folder_and_what_has_changed_meanwhile_is_seen() -> None:
    watch = FolderWatch()
    before = {"a": stamp(1), "b": stamp(1)}
    looks(watch, before, before)
    assert looks(watch, *[None] * 5, before, before) == [NOTHING] * 7
    after = {"a": stamp(1), "c": stamp(2)}
    assert looks(watch, None, after, after) == [NOTHING, NOTHING, Changes(("c",), ("b",))]


def test_what_is_forgotten_comes_again() -> None:
    watch = FolderWatch()
    found = {"a": stamp(), "b": stamp()}
    looks(watch, found, found)
    watch.forget(lambda name: name == "a")
    assert looks(watch, found, found) == [Changes(("a",), ()), NOTHING]


def test_a_scan_finds_the_files_of_bundles(tmp_path: Path) -> None:
    for name in ("one.offramp", "notes.txt", ".hidden.offramp", "two.offramp.partial"):
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "folder.offramp").mkdir()
    (tmp_path / "nowhere.offramp").symlink_to(tmp_path / "missing")
    (tmp_path / "link.offramp").symlink_to(tmp_path / "notes.txt")
    os.utime(tmp_path / "one.offramp", ns=(0, 12))
    found = scan(tmp_path)
    assert found is not None
    assert sorted(found) == ["link.offramp", "one.offramp"]
    assert found["one.offramp"][:2] == (12, 5)
    assert scan(tmp_path / "missing") is None
