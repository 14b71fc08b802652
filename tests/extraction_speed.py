"""Extraction against OpenPifPaf's own video command, for the section `extract` of the benchmarks."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from skdpipe.config import OpenPifPafSettings, Precision, Thresholds
from skdpipe.pose import PoseEstimator
from skdpipe.pose.estimate import SampledEstimator, estimate_video
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


def comparisons(size: ExtractionSize, precisions: list[Precision], threads: int) -> Iterator[Side]:
    """OpenPifPaf's command against skdpipe, one pass of two estimators against two, and k = 1 against 10."""
    with TemporaryDirectory() as folder:
        video = write_clip(Path(folder) / "actors.mp4", size)
        yield Side(
            "decoding alone, every frame",
            lambda: count_frames(video, 1),
            lambda: count_frames(video, 10),
            "candidate: one frame in ten",
        )
        opened: dict[str, PoseEstimator] = {}
        for backbone, weights, long_edge in size.networks:
            network = trained_or_empty(backbone, weights)
            path = Path(folder) / f"{backbone}.safetensors"
            save_weights(network, path, notes={})
            settings = OpenPifPafSettings(backbone, str(path), long_edge, Thresholds(complete=True))
            in_torch = OpenPifPaf(TorchFields(network), long_edge=long_edge, thresholds=settings.thresholds)
            expected = extract(video, in_torch)
            theirs = VideoCommand(network, long_edge)
            for precision in precisions:
                estimator = load_estimator(replace(settings, precision=precision), threads=threads)
                assert isinstance(estimator, OpenPifPaf)
                opened[f"{backbone} {precision}"] = estimator
                name = f"{backbone}, {long_edge} pixels, {estimator.network.runtime} {precision}"
                yield Side(
                    f"openpifpaf.video, {name}",
                    lambda theirs=theirs: theirs(video),
                    lambda estimator=estimator: extract(video, estimator),
                    agreement(extract(video, estimator), expected)
                    + "; "
                    + floor(network, long_edge, threads),
                )
        for key, estimator in opened.items():
            yield Side(
                f"one frame in ten, {key}",
                lambda estimator=estimator: extract(video, estimator),
                lambda estimator=estimator: extract(video, estimator, every=10),
            )
        first, *_, last = opened.values()
        yield Side(
            f"two qualities, {next(iter(opened))} and {next(reversed(opened))}: two passes",
            lambda: (extract(video, first), extract(video, last)),
            lambda: estimate(video, [first, last]),
            "candidate: one pass",
        )


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


def estimate(video: Path, estimators: list[PoseEstimator], every: int = 1) -> list[PoseSequence]:
    sampled = [SampledEstimator(each, every) for each in estimators]
    return estimate_video(video, sampled, Origin(str(video)), people=2, batch=16)


def count_frames(video: Path, every: int) -> int:
    """Decode a video, one frame in ``every`` to RGB."""
    sampling = None if every == 1 else lambda: FrameSampler(every).chooses
    return len(deque(read_timed_frames(video, sampling)))


class VideoCommand:
    """What ``python -m openpifpaf.video --json-output`` does for a video, without loading the network."""

    def __init__(self, network: PoseNetwork, long_edge: int) -> None:
        self._network, self._long_edge = network, long_edge

    def __call__(self, video: Path) -> None:
        from openpifpaf.stream import Stream

        stream, predictor, factory = (
            Stream,
            openpifpaf.Predictor,
            openpifpaf.network.Factory,
        )
        build_network = factory.factory
        factory.factory = lambda *_, **__: (self._network.module, 0)
        try:
            decoder = openpifpaf.decoder
            decoder.configure(decoder_arguments())
            predictor.long_edge, predictor.loader_workers = self._long_edge, 1
            running = predictor(visualize_image=False)
            capture = stream(str(video), preprocess=running.preprocess)
            with (video.parent / "openpifpaf.json").open("w", encoding="utf-8") as file:
                for people, _, meta in running.dataset(capture):
                    found = {"frame": meta["frame_i"], "predictions": [each.json_data() for each in people]}
                    json.dump(found, file, separators=(",", ":"))
                    file.write("\n")
        finally:
            factory.factory = build_network


def decoder_arguments() -> Namespace:
    """OpenPifPaf's options of the decoder with ``--force-complete-pose``."""
    import argparse

    parser = argparse.ArgumentParser()
    openpifpaf.decoder.cli(parser)
    return parser.parse_args(["--force-complete-pose"])


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
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.module(torch.zeros(1, 3, height, long_edge))
    operations = counter.get_total_flops()
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
