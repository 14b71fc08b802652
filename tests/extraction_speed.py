"""Extraction against OpenPifPaf's own video command, for the section `extract` of the benchmarks."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context, set_start_method
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch

from skdpipe.config import OpenPifPafSettings, Precision, Thresholds
from skdpipe.networks import multiply_adds_in
from skdpipe.pose import PoseEstimator
from skdpipe.pose.decoding import SampledEstimator
from skdpipe.pose.estimate import estimate_video
from skdpipe.pose.load import load_estimator
from skdpipe.pose.openpifpaf import OpenPifPaf, TorchFields, build, load_weights, save_weights
from skdpipe.pose.openpifpaf.networks import PoseNetwork, openpifpaf
from skdpipe.skeleton import Origin, PoseSequence, is_seen
from skdpipe.skeleton.timing import FrameSampler
from skdpipe.synthetic import ACTIONS, make_scene, render_clip
from skdpipe.video import read_timed_frames, write_video

_UNSURE: Final = -8.0  # bias of the confidences of an untrained network, which then finds nobody
_FPS: Final = 30.0


class ExtractionSize(NamedTuple):
    """A rendered video and the networks that process it."""

    frames: int
    width: int
    height: int
    networks: tuple[tuple[str, str, int], ...]  # backbone, weights, long edge


@dataclass(frozen=True)
class Side:
    """Two ways to process a video, and what is known about them."""

    name: str
    reference: Callable[[], object]
    candidate: Callable[[], object]
    remark: str = ""


def comparisons(size: ExtractionSize, precisions: Sequence[Precision], threads: int) -> Iterator[Side]:
    """OpenPifPaf's command against skdpipe, two passes against one, and every frame against one in ten."""
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        video = write_clip(folder / "actors.mp4", size)
        yield Side(
            "decoding alone, every frame and one in ten",
            partial(count_frames, video, 1),
            partial(count_frames, video, 10),
        )
        opened: dict[tuple[str, Precision], OpenPifPaf] = {}
        for backbone, weights, long_edge in size.networks:
            network = trained_or_empty(backbone, weights)
            path = folder / f"{backbone}.safetensors"
            save_weights(network, path, notes={})
            settings = OpenPifPafSettings(backbone, str(path), long_edge, Thresholds(complete=True))
            in_torch = OpenPifPaf(TorchFields(network), long_edge=long_edge, thresholds=settings.thresholds)
            expected = extract(video, in_torch)
            command = stack.enter_context(VideoCommand(path, backbone, long_edge))
            for precision in precisions:
                estimator = load_estimator(replace(settings, precision=precision), threads=threads)
                assert isinstance(estimator, OpenPifPaf)
                opened[backbone, precision] = estimator
                yield Side(
                    f"openpifpaf.video, {backbone} at {long_edge}, {estimator.runtime} {precision}",
                    partial(command, video),
                    partial(extract, video, estimator),
                    f"{agreement(extract(video, estimator), expected)}; {floor(network, long_edge, threads)}",
                )
        for (backbone, precision), estimator in opened.items():
            yield Side(
                f"every frame and one in ten, {backbone} {precision}",
                partial(extract, video, estimator),
                partial(extract, video, estimator, every=10),
            )
        both = [estimator for (_, precision), estimator in opened.items() if precision == precisions[-1]]
        yield Side(
            f"two passes and one, all networks in {precisions[-1]}",
            lambda: [extract(video, each) for each in both],
            partial(estimate, video, both),
        )


class Qualities(NamedTuple):
    """A video, and the networks of both qualities; low quality has one frame in ``every``."""

    frames: int
    high: tuple[str, str, int]  # backbone, weights, long edge
    low: tuple[str, str, int]
    every: int


def both_qualities(size: Qualities, threads: int) -> Iterator[Side]:
    """One pass over a video of the size of Kinetics for each quality, and one for both."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        video = write_clip(folder / "actors.mp4", ExtractionSize(size.frames, 340, 256, ()))
        sampled = []
        for (backbone, weights, long_edge), every in ((size.high, 1), (size.low, size.every)):
            path = folder / f"{backbone}.safetensors"
            save_weights(trained_or_empty(backbone, weights), path, notes={})
            settings = OpenPifPafSettings(backbone, str(path), long_edge, Thresholds(complete=True))
            sampled.append(SampledEstimator(load_estimator(settings, threads=threads), every))

        def passes(*estimators: Sequence[SampledEstimator]) -> None:
            for each in estimators:
                estimate_video(video, each, Origin(str(video)), people=2, batch=16)

        two, one = partial(passes, sampled[:1], sampled[1:]), partial(passes, sampled)
        for side in (two, one):
            side()
        names = (f"{network} at {edge}" for network, _, edge in (size.high, size.low))
        yield Side(f"{' and '.join(names)}, {size.frames} frames", two, one)


def write_clip(path: Path, size: ExtractionSize) -> Path:
    """A video of actors in H.264 with ordinary key frames; one action follows the other."""
    frames: list[Any] = []
    for number, action in enumerate(ACTIONS):
        if len(frames) >= size.frames:
            break
        scene = make_scene(
            action,
            subject=1000 + number,
            take=0,
            seed=7,
            size=(size.width, size.height),
            frames=min(size.frames, 60),
            fps=_FPS,
        )
        frames += list(render_clip(scene).frames)
    write_video(path, frames[: size.frames], _FPS)
    return path


def trained_or_empty(backbone: str, weights: str) -> PoseNetwork:
    """An embedded network; without weights, an untrained one that finds nobody."""
    if weights:
        return load_weights(backbone, weights)
    torch.manual_seed(0)
    network = build(backbone)
    with torch.no_grad():
        for head in network.module.head_nets:  # type: ignore[union-attr]
            bias: Any = head.conv.bias
            bias.view(head.meta.n_fields, -1)[:, 1] = _UNSURE
    return network


def extract(video: Path, estimator: PoseEstimator, every: int = 1) -> PoseSequence:
    """The skeletons of a video."""
    return estimate(video, [estimator], every)[0]


def estimate(video: Path, estimators: Sequence[PoseEstimator], every: int = 1) -> list[PoseSequence]:
    sampled = [SampledEstimator(each, every) for each in estimators]
    return estimate_video(video, sampled, Origin(str(video)), people=2, batch=16)


def count_frames(video: Path, every: int) -> int:
    """Decode a video, one frame in ``every`` to RGB."""
    sampling = None if every == 1 else lambda: FrameSampler(every).chooses
    return len(deque(read_timed_frames(video, sampling)))


class VideoCommand:
    """OpenPifPaf's video command in a process of its own, which has loaded the network; a context manager.

    Its data loader forks a process, which other libraries of this process would not survive.
    """

    def __init__(self, weights: Path, backbone: str, long_edge: int) -> None:
        context = get_context("spawn")
        self._process = ProcessPoolExecutor(
            1, context, initializer=load_command, initargs=(weights, backbone)
        )
        self._long_edge = long_edge

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.shutdown()

    def __call__(self, video: Path) -> None:
        """Process a video."""
        self._process.submit(run_command, video, self._long_edge).result()


def load_command(weights: Path, backbone: str) -> None:
    """Make OpenPifPaf's command use a network."""
    set_start_method("fork", force=True)  # of its data loader
    module = load_weights(backbone, str(weights)).module
    openpifpaf.network.Factory.factory = lambda *_, **__: (module, 0)
    parser = ArgumentParser()
    openpifpaf.decoder.cli(parser)
    openpifpaf.decoder.configure(parser.parse_args(["--force-complete-pose"]))


def run_command(video: Path, long_edge: int) -> None:
    """What ``python -m openpifpaf.video --json-output`` does for a video, without loading the network."""
    from openpifpaf.stream import Stream

    predictor = openpifpaf.Predictor
    predictor.long_edge, predictor.loader_workers = long_edge, 1
    running = predictor(visualize_image=False)
    capture = Stream(str(video), preprocess=running.preprocess)
    with (video.parent / "openpifpaf.json").open("w", encoding="utf-8") as file:
        for people, _, meta in running.dataset(capture):
            found = {"frame": meta["frame_i"], "predictions": [each.json_data() for each in people]}
            json.dump(found, file, separators=(",", ":"))
            file.write("\n")


def agreement(found: PoseSequence, expected: PoseSequence) -> str:
    """How many of the joints in PyTorch are found within a pixel."""
    seen = is_seen(expected.keypoints)
    if not seen.any():
        return "nobody to find"
    apart = np.linalg.norm((found.keypoints - expected.keypoints)[..., :2], axis=-1)[seen]
    apart = np.nan_to_num(apart, nan=np.inf)
    near, nearer = np.mean(apart <= 1), np.mean(apart <= 0.1)
    return f"{near:.2%} of joints within a pixel of PyTorch's, {nearer:.2%} within 0.1"


def floor(network: PoseNetwork, long_edge: int, threads: int) -> str:
    """The time of the multiply-adds of a 4:3 frame at the rate of a large matrix product in PyTorch."""
    height = round(long_edge * 3 / 4 / 16) * 16 + 1
    operations = 2 * multiply_adds_in(lambda: network.module(torch.zeros(1, 3, height, long_edge)))
    rate = {name: peak(kind, threads) for name, kind in (("f32", torch.float32), ("bf16", torch.bfloat16))}
    times = ", ".join(f"{name} {1000 * operations / each:.2g} ms" for name, each in rate.items())
    return f"floor a frame on {threads} threads: {times}"


def peak(kind: torch.dtype, threads: int) -> float:
    """Operations per second in a matrix product of 2048 rows and columns."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    a, b = (torch.randn(2048, 2048).to(kind) for _ in range(2))
    seconds = []
    for _ in range(6):
        start = perf_counter()
        a @ b
        seconds.append(perf_counter() - start)
    torch.set_num_threads(before)
    return 2 * 2048**3 / median(seconds[1:])
