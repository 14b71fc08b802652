"""What several test modules share: a hypothesis profile, tiny films of squares, a tiny trained network."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from squares import square_film

from skdpipe.config import Actors, PoseTraining
from skdpipe.progress import Progress, Task
from skdpipe.video import write_video

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

Film = Callable[..., Path]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for one another cost a tiny network more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def film(tmp_path: Path) -> Film:
    """Writes ``tmp_path / name``, a film of a square; what else is given goes to `square_film`."""

    def write(name: str, *, fps: float = 10.0, **shown: object) -> Path:
        path = tmp_path / name
        write_video(path, square_film(**shown), fps)  # type: ignore[arg-type]
        return path

    return write


@pytest.fixture
def clips() -> Path:
    """The folder of real clips, where this machine has it."""
    folder = Path(__file__).parents[2] / "shared/data/clips"
    if not folder.is_dir():
        pytest.skip(f"no real clips at {folder}")
    return folder


LEARNT = PoseTraining(
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
class Learnt:
    """A network that knows two pictures by heart: its weights, and the loss that was shown at every step."""

    path: Path
    losses: list[float]


class _Losses(Progress):
    """Keeps the losses behind the bar: each is the mean of the last hundred."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.shown: list[float] = []

    @contextmanager
    def task(self, name: str, total: float | None = None, *, unit: str = "") -> Iterator[Task]:
        shown = self.shown

        class Recording(Task):
            def advance_to(self, done: float, note: str = "") -> None:
                if name == "training":
                    shown.append(float(note.removeprefix("loss ")))

        yield Recording()


@pytest.fixture(scope="session")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    """A few seconds of training, by which encoder, losses, weights and decoder can be tried together."""
    from skdpipe.pose_training import train_pose

    path, losses = tmp_path_factory.mktemp("learnt") / "two-pictures.safetensors", _Losses()
    train_pose(LEARNT, path, device=torch.device("cpu"), progress=losses)
    return Learnt(path, losses.shown)
