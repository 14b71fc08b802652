"""The import index says which files were imported and have not changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skdpipe.cache.import_index import ImportIndex, state_of
from skdpipe.errors import CacheError


def old_file(path: Path, content: str = "clip", modified: float = 1e9) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    os.utime(path, (modified, modified))
    os.utime(path.parent, (1e9, 1e9))
    return path


def index_of(root: Path, settings: str = "coco", imported: str = "in") -> ImportIndex:
    return ImportIndex(root / "cache", "high", settings, root / imported)


def test_an_imported_file_is_known_until_it_changes(tmp_path: Path) -> None:
    file = old_file(tmp_path / "in/späße\n.json")
    assert not index_of(tmp_path).has(file, state_of(file), "ab")
    index_of(tmp_path).add(file, state_of(file), "ab")
    assert index_of(tmp_path).has(file, state_of(file), "ab")
    assert not index_of(tmp_path).has(file, state_of(file), "cd")
    assert not index_of(tmp_path, settings="other").has(file, state_of(file), "ab")
    assert not index_of(tmp_path, imported="in/sub").has(file, state_of(file), "ab")
    for content, modified in (("clip", 1e9 + 1), ("longer", 1e9)):
        old_file(file, content, modified)
        assert not index_of(tmp_path).has(file, state_of(file), "ab")


def test_a_folder_changes_with_each_of_its_files(tmp_path: Path) -> None:
    files = [old_file(tmp_path / f"clip/{n}.json") for n in range(3)]
    before = state_of(tmp_path / "clip")
    old_file(files[1], "other")
    assert state_of(tmp_path / "clip") != before
    old_file(files[1])
    assert state_of(tmp_path / "clip") == before
    files[2].unlink()
    assert state_of(tmp_path / "clip") != before


def test_a_file_that_may_still_change_is_not_recorded(tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    file.write_text("clip")
    index_of(tmp_path).add(file, state_of(file), "ab")
    assert not index_of(tmp_path).has(file, state_of(file), "ab")


def test_damaged_lines_are_ignored_and_a_full_disk_is_one_line(tmp_path: Path) -> None:
    file = old_file(tmp_path / "a.json")
    index_of(tmp_path).add(file, state_of(file), "ab")
    with (tmp_path / "cache/import-index.jsonl").open("ab") as lines:
        lines.write(b'\n["0", "high"]\n{}\n\xff\n["')
    assert index_of(tmp_path).has(file, state_of(file), "ab")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match="cannot write"):
        ImportIndex(tmp_path / "file", "high", "coco", tmp_path).add(file, state_of(file), "ab")
