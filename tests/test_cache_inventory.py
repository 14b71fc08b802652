"""The inventory counts what is in a cache, and every altered byte of a file is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from sequences import make_sequence

from skdpipe.cache import FORMAT, PoseCache
from skdpipe.cache.inventory import CacheFinding, summarise_cache, verify_cache, verify_file
from skdpipe.progress import Progress
from skdpipe.skeleton import UNSEEN, Origin, PoseSequence
from skdpipe.tensor_file import read_header, read_tensors, write_tensors

QUIET = Progress(quiet=True)


def clip(
    key: str, label: str | None = "wave", estimator: str = "eyes", *, empty: bool = False
) -> PoseSequence:
    keypoints = np.full((2, 1, 17, 3), 0.5, np.float32)
    keypoints[:] = UNSEEN if empty else keypoints
    return make_sequence(keypoints, origin=Origin(f"{key}.mp4", key, estimator, label))


def rewrite(path: Path, **metadata: str | None) -> None:
    """Write a file with other metadata and a right checksum; None deletes a field."""
    fields = {**read_header(path).metadata, "sha256": None, **metadata}
    write_tensors(path, read_tensors(path), {name: text for name, text in fields.items() if text is not None})


def without_checksum(path: Path, **metadata: str) -> None:
    """Write a file as earlier versions did."""
    fields = {**read_header(path).metadata, **metadata}
    fields.pop("sha256")
    save_file(load_file(path), path, fields)


def findings_of(cache: PoseCache) -> list[CacheFinding]:
    return list(verify_cache(cache, QUIET).findings)


def test_a_summary_counts_the_files_of_each_folder(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    paths = [
        cache.save(clip("01"), "high", "e-1"),
        cache.save(clip("02", "clap"), "high", "e-1"),
        cache.save(clip("03", None, empty=True), "high", "e-1"),
        cache.save(clip("04", "wave", "other eyes"), "high", "e-1"),
    ]
    low = cache.save(clip("01"), "low", "e-2")
    (low.parent / "estimator.yaml").write_text("kind: plugin\n")
    later = cache.save(clip("05"), "high", "e-1")
    rewrite(later, format="skdpipe-sequence-7")
    damaged = cache.save(clip("06"), "high", "e-1")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (low.parent / ".skdpipe-1.part").write_bytes(b"half")
    (low.parent / "notes.txt").write_text("mine")
    for path, time in zip(paths, (40, 10, 30, 20), strict=True):
        os.utime(path, (time, time))
    os.utime(later, (15, 15))
    os.utime(damaged, (16, 16))

    high, second = summarise_cache(cache, QUIET)
    assert (high.quality, high.settings) == ("high", "e-1")
    assert high.estimators == ("eyes", "other eyes")
    assert high.files == 6
    assert high.bytes == sum(path.stat().st_size for path in [*paths, later, damaged])
    assert high.labels == {"clap": 1, "wave": 2}
    assert (high.labelled, high.classes, high.unlabelled, high.empty) == (3, 2, 1, 1)
    assert (high.damaged, high.unknown, high.leftovers, high.others) == (1, 1, 0, ())
    assert (high.oldest, high.newest) == (10.0, 40.0)
    assert (second.quality, second.settings, second.files) == ("low", "e-2", 1)
    assert (second.leftovers, second.others) == (1, ("notes.txt",))
    assert summarise_cache(PoseCache(tmp_path / "nowhere")) == []


def test_a_whole_cache_has_no_findings(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    paths = [cache.save(clip("01"), quality, "e-1") for quality in ("high", "low")]
    report = verify_cache(cache, QUIET)
    assert (report.files, report.bytes) == (2, sum(path.stat().st_size for path in paths))
    assert (report.findings, report.unverifiable) == ((), ())


def test_every_altered_byte_is_noticed(tmp_path: Path) -> None:
    """A change that leaves the decoded header as it is, such as of the space that pads it, is harmless."""
    path = PoseCache(tmp_path).save(clip("0a"), "high", "e-1")
    content = path.read_bytes()
    harmless = []
    for position, byte in enumerate(content):
        for flip in (0x01, 0x20, 0x80):  # 0x20 changes the case of a letter
            path.write_bytes(content[:position] + bytes([byte ^ flip]) + content[position + 1 :])
            found = verify_file(path)
            assert found is not None
            if found.finding is None:
                harmless.append((position, flip))
    assert harmless == []


def test_altered_padding_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = PoseCache(tmp_path).save(clip("0a"), "high", "e-1")
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    padding = range(len(content[:end].rstrip(b" ")), end)
    assert padding
    before = read_header(path)
    for position in padding:
        path.write_bytes(content[:position] + b"\n" + content[position + 1 :])
        found = verify_file(path)
        assert found is not None
        assert found.finding is None
        assert read_header(path) == before


def test_every_other_length_is_noticed(tmp_path: Path) -> None:
    path = PoseCache(tmp_path).save(clip("0a"), "high", "e-1")
    content = path.read_bytes()
    for changed in [*(content[:end] for end in range(0, len(content), 7)), content[:-1], content + b"\0"]:
        path.write_bytes(changed)
        found = verify_file(path)
        assert found is not None
        assert found.finding is not None
        assert found.finding.kind == "damaged"
        assert "extract the video again" in found.finding.remedy


def test_files_of_earlier_versions_are_unverifiable(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(clip("0a"), "high", "e-1")
    without_checksum(path)
    assert verify_cache(cache, QUIET).unverifiable == (path,)
    assert findings_of(cache) == []
    without_checksum_fields = {"sha255": "0" * 64}  # the checksum's name with an altered byte
    cache.save(clip("0a"), "high", "e-1")
    without_checksum(path, **without_checksum_fields)
    (found,) = findings_of(cache)
    assert (found.kind, found.text) == ("damaged", "no checksum, but the unknown field 'sha255'")


def test_a_file_in_the_place_of_another_is_named(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(clip("0a"), "high", "e-1")
    for name in ("high/e-1/0b", "high/e-2/0a", "low/e-1/0a"):
        moved = (tmp_path / name).with_suffix(".safetensors")
        moved.parent.mkdir(parents=True, exist_ok=True)
        path.rename(moved)
        (found,) = findings_of(cache)
        assert (found.path, found.kind) == (moved, "misplaced")
        assert found.text == "its content is that of 'high/e-1/0a'"
        moved.rename(path)


def test_what_a_later_version_wrote_is_unknown_and_not_damaged(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(clip("0a"), "high", "e-1")
    for changes, text, remedy in [
        ({"format": "skdpipe-sequence-2"}, f"format 'skdpipe-sequence-2', newer than '{FORMAT}'", "update"),
        ({"format": "else-1"}, f"format 'else-1', expected '{FORMAT}'", "move it elsewhere"),
        ({"layout": "of-tomorrow"}, "its checksum is right, but this version cannot use it", "update"),
        ({"quality": "medium"}, "its checksum is right, but this version cannot use it", "update"),
    ]:
        rewrite(path, **changes)
        (found,) = findings_of(cache)
        assert (found.path, found.kind) == (path, "unknown")
        assert text in found.text
        assert remedy in found.remedy
        path.unlink()
        cache.save(clip("0a"), "high", "e-1")


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(clip("0a"), "high", "e-1")
    path.unlink()
    path.symlink_to(path)  # a loop: the system refuses to open it, also for root
    (found,) = findings_of(cache)
    assert (found.path, found.kind) == (path, "unreadable")


def test_a_file_deleted_meanwhile_is_left_out(tmp_path: Path) -> None:
    path = PoseCache(tmp_path).save(clip("0a"), "high", "e-1")
    path.unlink()
    assert verify_file(path) is None
