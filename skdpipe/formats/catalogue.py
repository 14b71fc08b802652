"""The formats by name: which files they have, how one is read or written, and what the user may say about it.

skeletons = format_named("pyskl").read(Path("ntu60_hrnet.pkl"), Options(split="xsub"))
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from skdpipe.errors import ConfigError, FormatError
from skdpipe.formats.arrays import find_skd, find_st_gcn, load_skd, load_st_gcn, write_st_gcn
from skdpipe.formats.coco import find_coco, load_coco, write_coco
from skdpipe.formats.defaults import FPS, clip_name, read_class_names
from skdpipe.formats.kinetics import SIZE as KINETICS_SIZE
from skdpipe.formats.kinetics import find_kinetics, load_kinetics
from skdpipe.formats.ntu import find_ntu, load_ntu
from skdpipe.formats.openpifpaf import find_openpifpaf, load_openpifpaf, write_openpifpaf
from skdpipe.formats.openpose import find_openpose, load_openpose
from skdpipe.formats.openpose_output import write_kinetics, write_openpose
from skdpipe.formats.penn import find_penn, load_penn
from skdpipe.formats.pyskl import find_pyskl, load_pyskl, write_pyskl
from skdpipe.skeleton import PoseSequence, clip_key


@dataclass(frozen=True)
class Options:
    """What the user says about foreign skeletons; what is None was not said.

    Attributes:
        split: which pair of splits.
        layout: what the joints are.
        labels: a file with the names of the classes, a line each.
        size: width and height of the picture in pixels.
        fps: frames per second.
        images: a COCO file with the pictures' names.
        frames, people: how many an array has.

    Raises:
        ConfigError: if the size is none.
    """

    split: str | None = None
    layout: str | None = None
    labels: Path | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    images: Path | None = None
    frames: int | None = None
    people: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"size {self.size[0]} {self.size[1]}; expected a width and a height in pixels")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in order; none if there is no file of them."""
        return read_class_names(self.labels) if self.labels else ()

    @property
    def rate(self) -> float:
        """Frames per second, as said or as usual."""
        return self.fps or FPS

    @property
    def given(self) -> frozenset[str]:
        """The names of those that were said."""
        return frozenset(each.name for each in fields(self) if getattr(self, each.name) is not None)


@dataclass(frozen=True)
class Format:
    """A format that can be read.

    Attributes:
        name: what the command line calls it.
        find: the files under a path, one or more.
        read: the clips of a file, given the path that was looked under; the iterator goes on after a clip
            that is refused, if the file holds several.
        takes: which of the `Options` it understands.
        key_of: the key of a file's only clip; None if files hold several.
        settings: the cache folder where no options are given.
    """

    name: str
    find: Callable[[Path], tuple[Path, ...]]
    read: Callable[[Path, Path, Options], Iterator[PoseSequence]]
    takes: frozenset[str]
    key_of: Callable[[Path], str] | None = None
    settings: str = ""


@dataclass(frozen=True)
class Target:
    """A format that can be written.

    Attributes:
        name: what the command line calls it.
        write: write the clips to a path and count them.
        takes: which of the `Options` it understands.
    """

    name: str
    write: Callable[[Iterable[PoseSequence], Path, Options], int]
    takes: frozenset[str] = frozenset()


def _named_key(file: Path) -> str:
    return clip_key(clip_name(file.name))


def _content_key(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise FormatError(f"{file} cannot be read ({error.strerror}); expected an annotation") from error


def _read_penn(file: Path, root: Path, say: Options) -> Iterator[PoseSequence]:
    yield load_penn(file, say.rate)


def _read_ntu(file: Path, root: Path, say: Options) -> Iterator[PoseSequence]:
    yield load_ntu(file, split=say.split, fps=say.rate)


def _read_kinetics(file: Path, root: Path, say: Options) -> Iterator[PoseSequence]:
    yield load_kinetics(file, size=say.size or KINETICS_SIZE, fps=say.rate)


def _read_openpose(file: Path, root: Path, say: Options) -> Iterator[PoseSequence]:
    yield load_openpose(file, size=say.size, root=root, fps=say.rate)


def _read_pyskl(file: Path, root: Path, say: Options) -> Iterator[PoseSequence]:
    return load_pyskl(file, split=say.split, layout=say.layout, classes=say.classes, fps=say.rate)


def _read_openpifpaf(file: Path, root: Path, say: Options) -> Iterator[PoseSequence]:
    yield load_openpifpaf(file, size=say.size, root=root, layout=say.layout, fps=say.rate)


def _read_coco(file: Path, root: Path, say: Options) -> Iterator[PoseSequence]:
    return load_coco(file, images=say.images, size=say.size, layout=say.layout, fps=say.rate)


def _read_st_gcn(file: Path, root: Path, say: Options) -> Iterator[PoseSequence]:
    return load_st_gcn(file, size=say.size, layout=say.layout, classes=say.classes, fps=say.rate)


def _read_skd(file: Path, root: Path, say: Options) -> Iterator[PoseSequence]:
    yield load_skd(file, size=say.size, root=root, layout=say.layout, fps=say.rate)


def _write_pyskl(clips: Iterable[PoseSequence], out: Path, say: Options) -> int:
    return write_pyskl(clips, out, classes=say.classes)


def _write_st_gcn(clips: Iterable[PoseSequence], out: Path, say: Options) -> int:
    frames, people = say.frames or 300, say.people or 2  # as ST-GCN has them
    return write_st_gcn(clips, out, classes=say.classes, frames=frames, people=people)


def _write_openpifpaf(clips: Iterable[PoseSequence], out: Path, say: Options) -> int:
    return write_openpifpaf(clips, out)


def _write_coco(clips: Iterable[PoseSequence], out: Path, say: Options) -> int:
    return write_coco(clips, out)


def _write_openpose(clips: Iterable[PoseSequence], out: Path, say: Options) -> int:
    return write_openpose(clips, out)


def _write_kinetics(clips: Iterable[PoseSequence], out: Path, say: Options) -> int:
    return write_kinetics(clips, out, classes=say.classes)


def _options(names: str) -> frozenset[str]:
    return frozenset(names.split())


FORMATS = (
    Format("penn", find_penn, _read_penn, _options("fps"), _content_key, "penn-action"),
    Format("ntu", find_ntu, _read_ntu, _options("split fps"), _named_key),
    Format("kinetics", find_kinetics, _read_kinetics, _options("size fps"), _named_key),
    Format("openpose", find_openpose, _read_openpose, _options("size fps"), _named_key),
    Format("pyskl", find_pyskl, _read_pyskl, _options("split layout labels fps")),
    Format("openpifpaf", find_openpifpaf, _read_openpifpaf, _options("layout size fps"), _named_key),
    Format("coco", find_coco, _read_coco, _options("layout size fps images")),
    Format("st-gcn", find_st_gcn, _read_st_gcn, _options("layout labels size fps")),
    Format("skd", find_skd, _read_skd, _options("layout size fps"), _named_key),
)
TARGETS = (
    Target("pyskl", _write_pyskl, _options("labels")),
    Target("st-gcn", _write_st_gcn, _options("labels frames people")),
    Target("openpifpaf", _write_openpifpaf),
    Target("coco", _write_coco),
    Target("openpose", _write_openpose),
    Target("kinetics", _write_kinetics, _options("labels")),
)


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: if there is none.
    """
    found = next((each for each in FORMATS if each.name == name), None)
    if found is None:
        raise ConfigError(f"no format '{name}'; expected one of {', '.join(each.name for each in FORMATS)}")
    return found


def target_named(name: str) -> Target:
    """The format of that name that can be written.

    Raises:
        ConfigError: if there is none.
    """
    found = next((each for each in TARGETS if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in TARGETS)
        raise ConfigError(f"cannot write the format '{name}'; expected one of {known}")
    return found


def refuse_useless(options: Options, takers: Iterable[Format | Target]) -> None:
    """Refuse options that nobody takes.

    Raises:
        ConfigError: if there is one; it is named.
    """
    takers = tuple(takers)
    useless = options.given.difference(*(each.takes for each in takers))
    if useless:
        names = " and ".join(dict.fromkeys(each.name for each in takers))
        known = ", ".join(f"--{name}" for name in sorted(frozenset().union(*(each.takes for each in takers))))
        raise ConfigError(f"{names} cannot use --{min(useless)}: leave it out; expected {known or 'none'}")
