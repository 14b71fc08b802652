"""Pruning deletes what is of no use, only if that is wanted, and never what it does not know."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import WriteVideo
from sequences import make_sequence
from squares import SquareFinder
from test_cache_inventory import clip, rewrite

from skdpipe.cache import PoseCache
from skdpipe.cache.prune import PruneReport, Removal, _delete, prune_cache
from skdpipe.errors import DataError, VideoError
from skdpipe.extraction import Source, extract_videos
from skdpipe.extraction.orphans import find_orphans
from skdpipe.extraction.video_list import find_videos
from skdpipe.progress import Progress
from skdpipe.skeleton import Origin
from skdpipe.video import content_key


@pytest.fixture
def cache(tmp_path: Path) -> PoseCache:
    return PoseCache(tmp_path / "cache")


def found(report: PruneReport) -> list[tuple[Path, str]]:
    return sorted((removal.path, removal.reason) for removal in report.removals)


def damage(path: Path) -> Path:
    """Change a keypoint: only the checksum shows it."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return path


def test_leftovers_are_deleted_only_if_wanted(cache: PoseCache) -> None:
    whole = cache.save(clip("01"), "high", "e-1")
    leftover = whole.with_name(".skdpipe-1.part")
    leftover.write_bytes(b"half")
    damage(cache.save(clip("02"), "high", "e-1"))
    report = prune_cache(cache)
    assert (found(report), report.bytes) == ([(leftover, "leftover")], 4)
    assert leftover.exists()
    assert found(prune_cache(cache, write=True)) == [(leftover, "leftover")]
    assert not leftover.exists()
    assert len(list(cache.entries())) == 2


def test_a_file_that_is_being_written_stays(cache: PoseCache) -> None:
    from skdpipe.atomic_file import atomic_path

    whole = cache.save(clip("01"), "high", "e-1")
    with atomic_path(whole.with_name("02.safetensors")) as part:
        part.write_bytes(b"half")
        assert prune_cache(cache, settings=["e-1"], write=True).removals[0].path == whole
        assert part.exists()


def test_damaged_files_are_deleted_and_unknown_ones_stay(cache: PoseCache) -> None:
    whole, damaged, later, other, tomorrow, misplaced = (
        cache.save(clip(f"0{number}"), "high", "e-1") for number in range(6)
    )
    damage(damaged)
    rewrite(later, format="skdpipe-sequence-2")
    rewrite(other, format="else-1")
    rewrite(tomorrow, layout="of-tomorrow")
    misplaced = misplaced.rename(misplaced.with_name("0a.safetensors"))
    report = prune_cache(cache, damaged=True, write=True)
    assert found(report) == [(damaged, "damaged")]
    assert {path for path, _ in report.kept} == {later, other, tomorrow, misplaced}
    assert all(path.exists() for path in (whole, later, other, tomorrow, misplaced))
    assert not damaged.exists()


def test_a_settings_folder_is_removed(cache: PoseCache) -> None:
    paths = [cache.save(clip("01"), quality, "e-1") for quality in ("high", "low")]
    kept = cache.save(clip("01"), "high", "e-2")
    (paths[0].parent / "estimator.yaml").write_text("kind: plugin\n")
    assert found(prune_cache(cache, settings=["high/e-1"])) == [(paths[0], "settings")]
    assert paths[0].exists()
    prune_cache(cache, settings=["high/e-1"], write=True)
    assert not paths[0].parent.exists()
    prune_cache(cache, settings=["e-1"], write=True)
    assert not paths[1].parent.exists()
    assert kept.exists()
    with pytest.raises(DataError, match="no settings folder 'e-1'; found high/e-2"):
        prune_cache(cache, settings=["e-1"])


def test_a_settings_folder_with_unknown_files_stays(cache: PoseCache) -> None:
    path, later = cache.save(clip("01"), "high", "e-1"), cache.save(clip("02"), "high", "e-1")
    settings, notes = path.with_name("estimator.yaml"), path.with_name("notes.txt")
    settings.write_text("kind: plugin\n")
    notes.write_text("mine")
    rewrite(later, format="skdpipe-sequence-2")
    report = prune_cache(cache, settings=["e-1"], write=True)
    assert found(report) == [(path, "settings")]
    assert {each for each, _ in report.kept} == {later, path.parent}
    assert later.exists()
    assert notes.exists()
    assert settings.exists()


@pytest.mark.parametrize("linked", ["high", "high/e-1"])
def test_nothing_is_deleted_through_a_link(cache: PoseCache, tmp_path: Path, linked: str) -> None:
    path = cache.save(clip("01"), "high", "e-1")
    damage(path)
    path.with_name(".skdpipe-1.part").write_bytes(b"half")
    outside = tmp_path / "outside"
    shutil.move(cache.root / linked, outside)
    (cache.root / linked).symlink_to(outside)
    before = sorted(outside.rglob("*"))
    report = prune_cache(cache, damaged=True, orphans=["01"], settings=["e-1"], write=True)
    assert report.removals == ()
    assert [path for path, _ in report.kept] == [cache.root / "high" / "e-1"]
    assert sorted(outside.rglob("*")) == before


def test_of_a_link_to_a_file_only_the_link_is_deleted(cache: PoseCache, tmp_path: Path) -> None:
    path = damage(cache.save(clip("01"), "high", "e-1"))
    outside = Path(shutil.move(path, tmp_path / "outside"))
    path.symlink_to(outside)
    assert found(prune_cache(cache, damaged=True, write=True)) == [(path, "damaged")]
    assert outside.exists()
    assert not path.is_symlink()


def test_the_root_may_be_a_link(cache: PoseCache, tmp_path: Path) -> None:
    path = damage(cache.save(clip("01"), "high", "e-1"))
    (tmp_path / "link").symlink_to(cache.root)
    assert len(prune_cache(PoseCache(tmp_path / "link"), damaged=True, write=True).removals) == 1
    assert not path.exists()


def test_a_file_that_was_replaced_meanwhile_stays(cache: PoseCache) -> None:
    path = damage(cache.save(clip("01"), "high", "e-1"))
    removals: tuple[Removal, ...] = prune_cache(cache, damaged=True).removals
    assert len(removals) == 1
    cache.save(clip("01"), "high", "e-1")  # the video is extracted again
    kept: list[tuple[Path, str]] = []
    assert _delete(cache, removals, kept, Progress(quiet=True)) == []
    assert kept == [(path, "another process has replaced it")]
    assert path.exists()


# Orphans -----------------------------------------------------------------------


@pytest.fixture
def videos(square_video: WriteVideo, cache: PoseCache) -> Path:
    """Three videos, extracted in both qualities."""
    paths = [square_video(f"videos/{name}.mp4", step=step) for name, step in (("a", 1), ("b", 2), ("c", 3))]
    sources = [Source("high", SquareFinder(128)), Source("low", SquareFinder(127))]
    extract_videos(find_videos(paths[0].parent), sources, cache)
    return paths[0].parent


def test_orphans_are_found_by_content(videos: Path, cache: PoseCache) -> None:
    gone, renamed = content_key(videos / "a.mp4"), content_key(videos / "b.mp4")
    assert find_orphans(cache, [videos]) == frozenset()
    (videos / "b.mp4").rename(videos / "a.mp4")  # the name of an extracted video, the content of another
    assert find_orphans(cache, [videos]) == {gone}
    report = prune_cache(cache, orphans=find_orphans(cache, [videos]), write=True)
    assert [(path.stem, reason) for path, reason in found(report)] == [(gone, "orphan")] * 2
    assert cache.all_keys() == {renamed, content_key(videos / "c.mp4")}


def test_a_video_that_exists_elsewhere_is_no_orphan(videos: Path, cache: PoseCache, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    shutil.copy(videos / "a.mp4", tmp_path / "some")
    assert find_orphans(cache, [tmp_path / "some"]) == frozenset()
    shutil.copy(videos / "c.mp4", tmp_path / "some")
    gone = content_key(videos / "b.mp4")
    shutil.rmtree(videos)
    assert find_orphans(cache, [tmp_path / "some"]) == {gone}


def test_skeletons_without_a_video_are_no_orphans(videos: Path, cache: PoseCache) -> None:
    imported = make_sequence([[[[1, 1, 1]] * 17]], origin=Origin("gone.skeleton", "ab" * 32, "hand"))
    cache.save(imported, "high", "penn")
    annotated = make_sequence([[[[1, 1, 1]] * 17]], origin=Origin(str(cache.root), "cd" * 16, "hand"))
    cache.save(annotated, "high", "penn")
    assert find_orphans(cache, [videos]) == frozenset()


@pytest.mark.parametrize("state", ["missing", "empty", "a file", "others", "a lost link"])
def test_folders_that_do_not_show_all_videos_are_refused(
    videos: Path, cache: PoseCache, square_video: WriteVideo, state: str
) -> None:
    folder = videos
    if state == "others":
        folder = square_video("others/z.mp4", step=7).parent
    elif state == "a lost link":
        (videos / "drive").symlink_to(videos / "not connected")
    elif state == "a file":
        folder = videos / "a.mp4"
    else:
        shutil.rmtree(videos)
        videos.mkdir() if state == "empty" else None
    with pytest.raises(DataError, match="expected"):
        find_orphans(cache, [folder])


def test_a_video_that_cannot_be_read_is_refused(videos: Path, cache: PoseCache) -> None:
    (videos / "a.mp4").unlink()
    (videos / "a.mp4").symlink_to(videos / "a.mp4")
    with pytest.raises((DataError, VideoError)):
        find_orphans(cache, [videos])
