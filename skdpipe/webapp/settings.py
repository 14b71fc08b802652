"""What the web application shows, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skdpipe.config import Estimator, RuntimeChoice


@dataclass(frozen=True)
class Limits:
    """What is accepted from the browser.

    Attributes:
        upload_bytes: size of a clip.
        seconds: length of a clip.
        frames: number of frames of a clip.
        clips: number of clips that are kept; a further one replaces the oldest.
        kept_seconds: time after which a clip that is not used any more is removed.
        idle_seconds: longest time without a byte of a clip that is being received.
        waiting: number of tasks that wait for the one at work.
        image_bytes, image_pixels: of a picture of the camera.
    """

    upload_bytes: int = 300 * 2**20
    seconds: float = 600.0
    frames: int = 36_000
    clips: int = 4
    kept_seconds: float = 900.0
    idle_seconds: float = 20.0
    waiting: int = 4
    image_bytes: int = 2 * 2**20
    image_pixels: int = 1920 * 1080


@dataclass(frozen=True)
class AppSettings:
    """What the application shows, and to whom.

    Attributes:
        models: folder of runs.
        bundle: the student that is offered first: a bundle, or the folder of an export; None is the newest
            under ``models``.
        cache: the pose cache that can be browsed.
        videos: folders of the videos that may be shown behind cached skeletons.
        estimator: used instead of those of the bundles.
        runtime, device: as for `load_predictor`.
        host: address or name under which browsers reach the application.
        token: needed in the address of the page; empty if everybody who reaches the page may use it.
        read_only: labels are not corrected, and reports are not written.
        limits: of what browsers send.
    """

    models: Path = Path("models")
    bundle: Path | None = None
    cache: Path = Path("pose_cache")
    videos: tuple[Path, ...] = ()
    estimator: Estimator | None = None
    runtime: RuntimeChoice = "auto"
    device: str = "cpu"
    host: str = "127.0.0.1"
    token: str = ""
    read_only: bool = False
    limits: Limits = Limits()
