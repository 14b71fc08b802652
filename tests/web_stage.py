"""A web application with a tiny student, a cache and videos, for tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import uvicorn
from moving_body import ACTIONS, BOX_PLUGIN, BoxEstimator, a_sequence, blurred, write_action_video

from skdpipe import create_app
from skdpipe.bundle import Bundle, build_network, save_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import ClipFormat, NetworkChoice, PluginSettings
from skdpipe.inference import BundleMetadata, TrainingClips
from skdpipe.video import content_key
from skdpipe.webapp import AppSettings

HOSTILE = "<img src=x onerror=alert(1)>"
"""A class name that would be markup if it was not shown as text."""
CLASSES = (HOSTILE, "wave")
ESTIMATOR = PluginSettings(BOX_PLUGIN)


@dataclass(frozen=True)
class Stage:
    """Folders with a student and another one, a cache, and the videos of its clips."""

    folder: Path

    @property
    def settings(self) -> AppSettings:
        return AppSettings(
            self.folder / "models",
            cache=self.folder / "cache",
            videos=(self.folder / "videos",),
            estimator=ESTIMATOR,
            runtime="torch",
        )

    @property
    def cache(self) -> PoseCache:
        return PoseCache(self.folder / "cache")

    def clip(self, name: str = "short.mp4") -> Path:
        return self.folder / name


def build_stage(folder: Path) -> Stage:
    """Write everything; clips of the cache have videos, one second long; a long one is footage."""
    stage = Stage(folder)
    for name in ("student", "baseline"):
        _write_bundle(folder / f"models/run/{name}.safetensors")
    write_action_video(stage.clip("short.mp4"), ACTIONS[0])
    write_action_video(stage.clip("long.mp4"), ACTIONS[1], frames=48)
    for number, action in enumerate(ACTIONS):
        path = write_action_video(folder / f"videos/{action} {number}.mp4", action, number)
        key = content_key(path)
        sequence = a_sequence(action, number, split="train", label=CLASSES[number])
        origin = replace(sequence.origin, source=str(path), key=key)
        sequence = replace(sequence, origin=origin)
        stage.cache.save(sequence, "high", "eyes-1")
        stage.cache.save(blurred(sequence), "low", "squint-1")
    return stage


def _write_bundle(path: Path) -> None:
    torch.manual_seed(0)
    choice, clip = NetworkChoice("st_2sgcn", width=4), ClipFormat(frames=8)
    clips = TrainingClips(1.0, 1.0, 1.0, 1.0, 12.0, 1, 0.0, 1.0, 1.0)
    metadata = BundleMetadata(choice, CLASSES, clip, "box shake=0.0", ESTIMATOR, training_clips=clips)
    save_bundle(Bundle(build_network(choice, clip, 2), metadata), path)


class SlowEstimator:
    """Waits in every frame until it may go on."""

    def __init__(self) -> None:
        self._box, self.go_on, self.started = BoxEstimator(), threading.Event(), threading.Event()
        self.layout, self.fingerprint = self._box.layout, self._box.fingerprint

    def __call__(self, frames: Sequence[Any]) -> list[Any]:
        self.started.set()
        self.go_on.wait(10)
        return self._box(frames)


class Server:
    """The application on a port of its own."""

    def __init__(self, settings: AppSettings) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        config = uvicorn.Config(create_app(settings), log_level="critical", timeout_graceful_shutdown=0)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=[[self._listening]], daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
