import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skdpipe.atomic_file import (
    atomic_folder,
    atomic_path,
    marking,
    open_atomically,
    remove_leftovers,
    write_bytes_atomically,
    write_text_atomically,
)

DAYS_AGO = time.time() - 200_000


def test_a_file_is_written_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "text"
    write_text_atomically(path, "nœud")
    assert path.read_bytes() == "nœud".encode()
    assert list(path.parent.iterdir()) == [path]


def test_the_parts_of_a_file_follow_each_other(tmp_path: Path) -> None:
    write_bytes_atomically(tmp_path / "file", b"one", memoryview(b"two"))
    assert (tmp_path / "file").read_bytes() == b"onetwo"


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), open_atomically(path) as file:
        file.write(bytes(1 // len(b"")))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_may_have_the_greatest_length(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_bytes_atomically(path, b"1")
    assert path.read_bytes() == b"1"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_names_the_target(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write_to_full_disk() -> None:
        with atomic_path(path) as part:
            part.unlink()
            part.symlink_to("/dev/full")
            part.write_bytes(b"1")

    with pytest.raises(OSError, match="No space left") as caught:
        write_to_full_disk()
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "file"):
        (tmp_path / "other").read_bytes()
    assert caught.value.filename == str(tmp_path / "other")


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="irectory") as caught:
        write_bytes_atomically(path, b"1")
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_mark_is_there_during_the_block(tmp_path: Path) -> None:
    with marking(tmp_path / "new") as mark:
        assert mark.is_file()
        assert list((tmp_path / "new").iterdir()) == [mark]
        assert remove_leftovers(tmp_path / "new") == 0
    assert not mark.exists()


@pytest.mark.parametrize("block", ["open_atomically(path)", "marking(path.parent)"])
def test_the_file_of_a_killed_process_is_a_leftover(tmp_path: Path, block: str) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from skdpipe.atomic_file import marking, open_atomically\n"
        f"path = Path(sys.argv[1])\nwith {block}: print(flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(list(tmp_path.iterdir())) == 1
        assert remove_leftovers(tmp_path) == 0
        process.kill()
        process.wait()
    assert remove_leftovers(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    with open_atomically(tmp_path / "file"):
        assert remove_leftovers(tmp_path) == 0
    assert remove_leftovers(tmp_path) == 0


@pytest.mark.parametrize("name", [".clip.safetensors-4711-0a1b2c3d.part", ".tmpAb12cd"])
def test_leftovers_without_a_lock_are_removed_after_a_day(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"half")
    assert remove_leftovers(tmp_path) == 0
    os.utime(path, (DAYS_AGO, DAYS_AGO))
    assert remove_leftovers(tmp_path) == 1
    assert not path.exists()


@pytest.mark.parametrize("name", [".hidden", "clip.part", ".tmpfolder1.txt", "file"])
def test_other_files_are_no_leftovers(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"mine")
    os.utime(path, (DAYS_AGO, DAYS_AGO))
    (tmp_path / ".skdpipe-1.part").mkdir()
    assert remove_leftovers(tmp_path) == 0
    assert path.exists()


def test_a_folder_that_is_not_there_has_no_leftovers(tmp_path: Path) -> None:
    assert remove_leftovers(tmp_path / "nowhere") == 0


def test_a_folder_replaces_another_as_a_whole(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with atomic_folder(tmp_path / "a/folder") as part:
            (part / "inside").mkdir()
            (part / "inside/file").write_text(content)
            (part / content).touch()
    assert list((tmp_path / "a").iterdir()) == [tmp_path / "a/folder"]
    assert sorted(each.name for each in (tmp_path / "a/folder").iterdir()) == ["inside", "new"]
    assert (tmp_path / "a/folder/inside/file").read_text() == "new"


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/old").touch()
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "folder") as part:
        (part / "new").write_bytes(bytes(1 // len(b"")))
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder", tmp_path / "folder/old"]


def test_an_error_in_the_folder_names_the_file_at_its_place(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_folder(tmp_path / "folder") as part:
        (part / "absent/file").touch()
    assert caught.value.filename == str(tmp_path / "folder/absent/file")


def test_the_folder_of_a_killed_process_is_deleted_by_the_next(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from skdpipe.atomic_file import atomic_folder\n"
        "with atomic_folder(Path(sys.argv[1])) as part:\n"
        "    (part / 'file').touch(); print(flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "first")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with atomic_folder(tmp_path / "second"):
            assert len(list(tmp_path.iterdir())) == 2  # that of a process that runs stays
        process.kill()
        process.wait()
    with atomic_folder(tmp_path / "second"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "second"]
