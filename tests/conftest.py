"""Shared fixtures: a hypothesis profile, small videos of squares, a small trained pose network."""

import os

# One thread in the tests and in the processes that they start: with small networks, waiting for other threads
# costs more time than they save, and pytest-xdist occupies the cores.
os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from recording_progress import RecordingProgress
from squares import square_frames

from skdpipe.config import Actors, PoseTraining
from skdpipe.video import write_video

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

WriteVideo = Callable[..., Path]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Slow tests measure times: one runs after the other."""
    return 1 if config.option.markexpr == "slow" else None


@pytest.fixture
def square_video(tmp_path: Path) -> WriteVideo:
    """Writes ``tmp_path / name``, a video of a square; further arguments are passed to `square_frames`."""

    def write(name: str, *, fps: float = 10.0, **shown: object) -> Path:
        path = tmp_path / name
        write_video(path, square_frames(**shown), fps)  # type: ignore[arg-type]
        return path

    return write


@pytest.fixture
def clips() -> Path:
    """The folder of real clips; the test is skipped if this machine does not have it."""
    folder = Path(__file__).parents[2] / "shared/data/clips"
    if not folder.is_dir():
        pytest.skip(f"no real clips at {folder}")
    return folder


SMALL_POSE_TRAINING = PoseTraining(
    backbone="mobilenetv3small",
    long_edge=97,
    data=Actors(images=2, size=(96, 72), subjects=5),
    steps=120,
    batch=2,
    learning_rate=3e-3,
    warmup=5,
    batch_norm_momentum=0.3,
    bfloat16=False,
    workers=0,
)


@dataclass(frozen=True)
class TrainedPoseNetwork:
    """A network that was overfitted to two images: its weights file, and the loss displayed at every step."""

    path: Path
    losses: list[float]


@pytest.fixture(scope="session")
def trained_pose_network(tmp_path_factory: pytest.TempPathFactory) -> TrainedPoseNetwork:
    """A few seconds of training; encoder, losses, weights and decoder can be tested together with it."""
    from skdpipe.pose_training import train_pose

    path = tmp_path_factory.mktemp("trained") / "two-images.safetensors"
    progress = RecordingProgress()
    train_pose(SMALL_POSE_TRAINING, path, device=torch.device("cpu"), progress=progress)
    updates = progress.named("training").updates
    return TrainedPoseNetwork(path, [float(note.removeprefix("loss ")) for _, note in updates])
