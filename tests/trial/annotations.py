"""Annotations: a mutated file beside a good one, imported into a cache that holds an earlier clip."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from foreign_clips import SIZE, make_clip
from scipy.io import savemat

from skdpipe.formats.cache_files import write_cache_files
from skdpipe.formats.coco import write_coco
from skdpipe.formats.kinetics import write_kinetics
from skdpipe.formats.openpifpaf import write_openpifpaf
from skdpipe.formats.openpose import write_openpose
from skdpipe.formats.pyskl import write_pyskl
from skdpipe.formats.st_gcn import write_st_gcn
from skdpipe.skeleton import COCO_17, OPENPOSE_18, Layout, PoseSequence
from trial.children import Finished, run_valid
from trial.judging import contents, judge_entries, judge_leftovers, judge_unchanged, same_keypoints
from trial.kind import Case, Kind, Mutate, Problem, copy_files

_SIZE: Final = ("--size", *map(str, SIZE))


@dataclass(frozen=True)
class Annotation:
    """A format that can be imported.

    Attributes:
        name: on the command line.
        names: of three files: the one that is mutated, its neighbour, and one that was imported before.
        write: writes the file of a name, or several, into a folder; the number makes its content distinct.
        options: combinations of options, of which each case takes one.
    """

    name: str
    names: tuple[str, str, str]
    write: Callable[[Path, str, int], object]
    options: tuple[tuple[str, ...], ...] = ((),)

    @property
    def kind(self) -> Kind:
        """The row of the table."""
        return Kind(self.name, 200, self.prepare, self.lay_out)

    def prepare(self, material: Path) -> None:
        """Write the files, and import them with each of the options."""
        mutated, neighbour, earlier = self.names
        for folder, names in (("input", (mutated, neighbour)), ("before", (earlier,))):
            (material / folder).mkdir()
            for name in names:
                self.write(material / folder, name, 3 + self.names.index(name))
        for number, options in enumerate(self.options):
            for cache, folders in (
                (f"cache{number}", ["before"]),
                (f"expected{number}", ["before", "input"]),
            ):
                for folder in folders:
                    run_valid(self._command(material / folder, material / cache, options), material)

    def lay_out(self, material: Path, folder: Path, random: Random, mutate: Mutate) -> Case:
        """Mutate one of the files; import it with its neighbour."""
        number = random.randrange(len(self.options))
        copy_files(material / "input", folder / "input")
        cache = copy_files(material / f"cache{number}", folder / "cache")
        before = contents(cache, "*.safetensors")
        mutated, neighbour, _ = self.names
        files = [path for path in sorted((folder / "input").rglob("*")) if path.is_file()]
        own = [path for path in files if mutated in str(path.relative_to(folder))]
        shared = [
            path for path in files if path not in own and neighbour not in str(path.relative_to(folder))
        ]
        is_shared = bool(shared) and random.random() < 0.1
        path = random.choice(shared if is_shared else own)
        donor = random.choice([each for each in files if each.suffix == path.suffix])
        mutation = mutate(path, random, donor)
        expected = {} if is_shared else self._expected(material / f"expected{number}")

        def judge(done: list[Finished]) -> Iterator[Problem]:
            yield from judge_unchanged(before)
            yield from judge_entries(cache)
            yield from judge_leftovers(folder)
            found = {each.name: each for each in cache.rglob("*.safetensors")}
            for name, entry in expected.items():
                if name not in found or not same_keypoints(found[name], entry):
                    yield "lost", f"{neighbour} was not imported"

        return Case(mutation, [self._command(Path("input"), Path("cache"), self.options[number])], judge)

    def _command(self, path: Path, cache: Path, options: Sequence[str]) -> list[str]:
        return ["import", self.name, str(path), "--cache", str(cache), *options]

    def _expected(self, cache: Path) -> dict[str, Path]:
        """The neighbour's entries by the names of their files."""
        neighbour = self.names[1]
        return {
            path.name: path
            for path in cache.rglob("*.safetensors")
            if f"/{neighbour}" in path.read_bytes()[:20_000].decode(errors="replace")
        }


def _clips(name: str, number: int, layout: Layout = COCO_17) -> list[PoseSequence]:
    """Two clips, for formats with several in a file."""
    return [
        make_clip(f"{name}{part}", label, "train", frames=3 + number % 5, layout=layout)
        for part, label in (("", "sit"), ("2", "run"))
    ]


def _clip(name: str, number: int, layout: Layout = COCO_17) -> list[PoseSequence]:
    return _clips(name, number, layout)[:1]


def _points(number: int, joints: int) -> np.ndarray:
    """``(frame, joint, 3)`` in metres."""
    rng = np.random.default_rng(number)
    return np.round(rng.normal((0, 0, 3), 0.5, (4, joints, 3)), 4)


def _write_penn(folder: Path, name: str, number: int) -> None:
    xy = np.random.default_rng(number).uniform(20, 200, (2, 4, 13))
    fields = {
        "action": "bowl",
        "pose": "back",
        "x": xy[0],
        "y": xy[1],
        "visibility": np.ones((4, 13), np.uint8),
        "train": np.int32(1),
        "bbox": np.ones((4, 4)),
        "dimensions": np.array([272, 481, 4], np.uint16),
        "nframes": np.uint8(4),
    }
    savemat(folder / f"{name}.mat", fields, do_compression=bool(number % 2))


def _write_ntu(folder: Path, name: str, number: int) -> None:
    lines = ["3"]
    for frame in range(3):
        lines.append(str(1 + number % 2))
        for body in range(1 + number % 2):
            lines += [f"7205759{body} 0 1 1 1 1 0 0.1 0.2 2", "25"]
            for joint, (x, y, z) in enumerate(_points(number + body, 25)[frame]):
                lines.append(f"{x} {y} {z} 1 2 {900 + joint} {500 + frame} 0 0 0 0 2")
    (folder / f"{name}.skeleton").write_text("\n".join(lines) + "\n")


def _write_kinetics(folder: Path, name: str, number: int) -> None:
    """The clip, and its line in the file of labels, which all clips of a split share."""
    labels = folder / "kinetics_train_label.json"
    known = json.loads(labels.read_text()) if labels.is_file() else {}
    write_kinetics(_clip(name, number, OPENPOSE_18), folder, classes=("sit", "run"))
    labels.write_text(json.dumps({**known, **json.loads(labels.read_text())}))


def _write_nw_ucla(folder: Path, name: str, number: int) -> None:
    content = {"file_name": name, "skeletons": _points(number, 20).tolist(), "label": 5}
    (folder / f"{name}.json").write_text(json.dumps(content))


def _write_utd_mhad(folder: Path, name: str, number: int) -> None:
    savemat(folder / f"{name}.mat", {"d_skel": np.transpose(_points(number, 20), (1, 2, 0))})


def _write_st_gcn(folder: Path, name: str, number: int) -> None:
    """An array with labels as the toolbox names them, but for the split."""
    write_st_gcn(_clips(name, number), folder, classes=("sit", "run"), frames=8)
    for part in ("data.npy", "label.pkl"):
        (folder / f"train_{part}").rename(folder / f"{name}_{part}")
    (folder / "classes.txt").unlink(missing_ok=True)


def _write_skd(folder: Path, name: str, number: int) -> None:
    path = folder / "sit" / f"{name}.npy"
    path.parent.mkdir(exist_ok=True)
    (clip,) = _clip(name, number)
    np.save(path, np.nan_to_num(clip.keypoints).transpose(2, 3, 0, 1))


_PLAIN: Final = ("alpha", "beta", "gamma")
ANNOTATIONS: Final = (
    Annotation("penn", _PLAIN, _write_penn),
    Annotation(
        "ntu",
        ("S001C001P001R001A001", "S001C001P001R001A002", "S001C001P001R001A003"),
        _write_ntu,
        ((), ("--space", "camera"), ("--split", "xsub")),
    ),
    Annotation("kinetics", _PLAIN, _write_kinetics),
    Annotation(
        "openpose",
        _PLAIN,
        lambda folder, name, number: write_openpose(_clip(name, number, OPENPOSE_18), folder),
        (_SIZE,),
    ),
    Annotation(
        "pyskl",
        _PLAIN,
        lambda folder, name, number: write_pyskl(
            _clips(name, number), folder / f"{name}.pkl", classes=("sit", "run")
        ),
    ),
    Annotation(
        "openpifpaf",
        _PLAIN,
        lambda folder, name, number: write_openpifpaf(_clip(name, number), folder),
        (_SIZE, (*_SIZE, "--fps", "25")),
    ),
    Annotation(
        "coco",
        _PLAIN,
        lambda folder, name, number: write_coco(_clips(name, number), folder / f"{name}.json"),
        (_SIZE,),
    ),
    Annotation("st-gcn", _PLAIN, _write_st_gcn, (_SIZE,)),
    Annotation("skd", _PLAIN, _write_skd, (_SIZE,)),
    Annotation("nw-ucla", ("a01_s01_e01_v01", "a02_s02_e01_v01", "a03_s03_e01_v01"), _write_nw_ucla),
    Annotation("utd-mhad", ("a1_s1_t1_skeleton", "a2_s2_t1_skeleton", "a3_s3_t1_skeleton"), _write_utd_mhad),
)


# Files of the cache, which `convert` reads like a foreign format ---------------------------------


def _prepare_cache_files(material: Path) -> None:
    for number, name in enumerate(_PLAIN):
        write_cache_files(_clip(name, number + 3), material / "input/high/some" / f"{name}.safetensors")
    run_valid(["convert", "cache", "input/high/some", "openpifpaf", "expected"], material)


def _lay_out_cache_files(material: Path, folder: Path, random: Random, mutate: Mutate) -> Case:
    source = copy_files(material / "input/high/some", folder / "input/high/some")
    donor = source / "beta.safetensors"
    mutation = mutate(source / "alpha.safetensors", random, donor)
    expected = contents(material / "expected")

    def judge(done: list[Finished]) -> Iterator[Problem]:
        yield from judge_leftovers(folder)
        for path, content in expected.items():
            written = folder / "out" / path.relative_to(material / "expected")
            if "alpha" not in path.name and (not written.is_file() or written.read_bytes() != content):
                yield "lost", f"{path.name} was not written"

    return Case(mutation, [["convert", "cache", "input/high/some", "openpifpaf", "out"]], judge)


KINDS: Final = (
    *(each.kind for each in ANNOTATIONS),
    Kind("cache", 200, _prepare_cache_files, _lay_out_cache_files),
)
