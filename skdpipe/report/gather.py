"""What a run says: its networks, and their answers to its test clips, computed anew from the cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

from skdpipe.bundle import Bundle, load_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import ClipFormat, Experiment, parse_config
from skdpipe.dataset import PairedClip, build_manifest, load_qualities
from skdpipe.distill.methods import METHODS, method_named
from skdpipe.distill.training_state import Curve
from skdpipe.errors import DataError
from skdpipe.evaluate import Figures
from skdpipe.inference import batch_input
from skdpipe.networks import Network, deployed
from skdpipe.progress import Progress
from skdpipe.report.measures import at_moments, response_magnitude
from skdpipe.skeleton import Layout, PoseSequence, layout_named

AT_ONCE: Final = 64
_COMPARED: Final = ("teacher", "baseline", "student")


@dataclass(frozen=True)
class TrainedMethod:
    """One method of a run.

    Attributes:
        method: teacher, baseline, ...
        bundle: the network and what it was trained for.
        figures: as measured at the end of its training.
        curves: of each epoch.
    """

    method: str
    bundle: Bundle
    figures: Figures
    curves: tuple[Curve, ...]

    @property
    def title(self) -> str:
        """As the paper calls it."""
        return method_named(self.method).title

    @property
    def sees_high(self) -> bool:
        """Whether it looks at the good skeletons."""
        return self.method == "teacher"


@dataclass(frozen=True)
class LoadedRun:
    """A run's folder.

    Attributes:
        folder: where it is.
        experiment: its settings, with the cache's settings folders that were used.
        data: what config.yaml says about the clips.
        methods: those that are trained, in the order of the table.
    """

    folder: Path
    experiment: Experiment
    data: Mapping[str, Any]
    methods: tuple[TrainedMethod, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in order of the logits."""
        return self.methods[0].bundle.metadata.classes

    @property
    def compared(self) -> tuple[TrainedMethod, ...]:
        """Teacher, baseline and student where they are trained, else whatever is."""
        return tuple(each for each in self.methods if each.method in _COMPARED) or self.methods

    def method(self, name: str) -> TrainedMethod | None:
        """A method by name, None if it is not trained."""
        return next((each for each in self.methods if each.method == name), None)


def load_run(folder: Path) -> LoadedRun:
    """Read a run's folder.

    Raises:
        DataError: if it is none, or nothing in it is trained.
        BundleError: if a bundle is damaged.
    """
    config = folder / "config.yaml"
    if not config.is_file():
        raise DataError(f"no run at {folder}; expected a folder with config.yaml, made by `skdpipe distill`")
    said = yaml.safe_load(config.read_text(encoding="utf-8"))
    if not isinstance(said, dict) or not {"experiment", "data"} <= said.keys():
        raise DataError(
            f"{config} is not of a run; expected experiment and data, as `skdpipe distill` writes"
        )
    experiment, data = parse_config(Experiment, said["experiment"], str(config)), said["data"]
    bundles = {method: folder / f"{method}.safetensors" for method in (each.name for each in METHODS)}
    methods = tuple(_trained(method, load_bundle(path)) for method, path in bundles.items() if path.is_file())
    if not methods:
        raise DataError(f"nothing in {folder} is trained; let `skdpipe distill` finish a method first")
    return LoadedRun(folder, replace(experiment, high=data["high"], low=data["low"]), data, methods)


def _trained(method: str, bundle: Bundle) -> TrainedMethod:
    curves = tuple(Curve(**curve) for curve in bundle.metadata.run["curves"])
    return TrainedMethod(method, bundle, Figures(**bundle.metadata.run["figures"]), curves)


class View(NamedTuple):
    """A clip as the teacher and as the student sees it, and the places at which both show the same person."""

    high: PoseSequence
    low: PoseSequence
    same_people: set[int]


class UnseenClips:
    """The test clips of a run, read from the cache when they are asked for.

    Raises:
        DataError: if the cache is gone, or gives other clips than the run had.
    """

    def __init__(self, run: LoadedRun, cache: PoseCache) -> None:
        self._cache, self._experiment = cache, run.experiment
        if not cache.root.is_dir():
            raise DataError(
                f"no skeletons at {cache.root}; name the cache that {run.folder} was trained on with --cache"
            )
        manifest = build_manifest(cache, run.experiment)
        if manifest.digest != run.data["clips"]:
            raise DataError(
                f"{cache.root} gives other clips than those of {run.folder} "
                f"({run.data['training_clips']} for training, {run.data['test_clips']} for the test); "
                "name its own cache with --cache"
            )
        self.clips: tuple[PairedClip, ...] = manifest.part(train=False)
        class_of = {label: index for index, label in enumerate(manifest.classes)}
        self.labels: NDArray[np.intp] = np.array([class_of[clip.label] for clip in self.clips])

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> View:
        experiment, clip = self._experiment, self.clips[index]
        high, low, same_people = load_qualities(
            self._cache, clip, experiment.clip.people, experiment.derive_low, experiment.seed
        )
        assert high is not None
        assert low is not None  # every test clip has both
        return View(high, low, same_people)

    def few_at_a_time(self, chosen: Sequence[int]) -> Iterator[tuple[list[int], list[View]]]:
        """The chosen clips, as many as a network is shown at once."""
        for start in range(0, len(chosen), AT_ONCE):
            some = list(chosen[start : start + AT_ONCE])
            yield some, [self[index] for index in some]


class Networks:
    """The networks of a run as they are used, on a device."""

    def __init__(self, run: LoadedRun, device: torch.device) -> None:
        self._device = device
        self._networks: dict[str, Network] = {
            each.method: deployed(each.bundle.network.to(device)) for each in run.methods
        }

    def answer(self, method: str, shown: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits ``(clip, class)`` and features ``(clip, person, channel, frame, joint)`` of one network."""
        with torch.inference_mode():
            output = self._networks[method](*(tensor.to(self._device) for tensor in shown))
        return output.logits.float().cpu(), output.features.float().cpu()


def show(sequences: Sequence[PoseSequence], clip: ClipFormat) -> tuple[Tensor, Tensor]:
    """Sequences as a network's input: clips ``(clip, person, channel, frame, joint)``, and who is seen."""
    clips, masks = batch_input(sequences, clip)
    return torch.from_numpy(clips), torch.from_numpy(masks)


@dataclass(frozen=True)
class Answers:
    """What the networks say about the test clips.

    Attributes:
        label: ``(clip,)`` class indices.
        logits: by method, ``(clip, class)``.
        shared: ``(clip,)`` place of the first person whom both views show, -1 where there is none.
        shown: ``(clip,)`` what share of that person's joints the good skeletons have over the clip.
    """

    label: NDArray[np.intp]
    logits: dict[str, NDArray[np.float32]]
    shared: NDArray[np.intp]
    shown: NDArray[np.floating]

    @cached_property
    def predicted(self) -> dict[str, NDArray[np.intp]]:
        """By method the most probable class of each clip."""
        return {method: logits.argmax(axis=1) for method, logits in self.logits.items()}


def answer_clips(run: LoadedRun, clips: UnseenClips, networks: Networks, progress: Progress) -> Answers:
    """Let every network of a run name the action of every test clip."""
    logits: dict[str, list[NDArray[np.float32]]] = {each.method: [] for each in run.methods}
    shared: list[int] = []
    seen: list[float] = []
    with progress.task("test clips", len(clips), unit="clips") as task:
        for chosen, views in clips.few_at_a_time(range(len(clips))):
            shown: dict[tuple[bool, ClipFormat], tuple[Tensor, Tensor]] = {}
            for each in run.methods:
                key = (each.sees_high, each.bundle.metadata.clip)
                if key not in shown:
                    sequences = [view.high if each.sees_high else view.low for view in views]
                    shown[key] = show(sequences, each.bundle.metadata.clip)
                logits[each.method].append(networks.answer(each.method, shown[key])[0].numpy())
            places = [_first_shared(view) for view in views]
            shared += places
            seen += [float(view.high.seen[:, at].mean()) for view, at in zip(views, places, strict=True)]
            task.advance_to(chosen[-1] + 1)
    joined = {method: np.concatenate(parts) for method, parts in logits.items()}
    return Answers(clips.labels, joined, np.array(shared), np.array(seen))


def _first_shared(view: View) -> int:
    both = view.high.seen.any(axis=(0, 2)) & view.low.seen.any(axis=(0, 2))
    return next((place for place in np.flatnonzero(both).tolist() if place in view.same_people), -1)


@dataclass(frozen=True)
class Response:
    """How strongly the networks respond to one person of a clip.

    Attributes:
        label: the clip's class.
        source: where the clip came from.
        layout: what the joints are.
        frames: the length of the clip as the networks see it.
        moments: ``(moment,)``, frames of the clip.
        pose: ``(moment, joint, 2)``, the good skeleton in the clip's units, y downwards; NaN where unseen.
        hidden: ``(moment, joint)``, True where only the good skeleton has a joint.
        magnitude: by method ``(moment, joint)``, relative to the largest of the network in this clip.
        largest: by method that largest magnitude.
        said: by method the class that it names.
    """

    label: str
    source: str
    layout: Layout
    frames: int
    moments: NDArray[np.intp]
    pose: NDArray[np.float32]
    hidden: NDArray[np.bool_]
    magnitude: dict[str, NDArray[np.floating]]
    largest: dict[str, float]
    said: dict[str, str]


def telling_clips(answers: Answers, count: int) -> list[int]:
    """Test clips to look at, of different classes while there are any.

    First those that the student alone of the two names rightly, and of these those whose person is seen best.
    """
    right = {method: predicted == answers.label for method, predicted in answers.predicted.items()}
    nowhere = np.zeros(len(answers.label), bool)
    mended = right.get("student", nowhere) & ~right.get("baseline", ~nowhere)
    usable = [index for index, place in enumerate(answers.shared) if place >= 0]
    best_first = sorted(usable, key=lambda index: (not mended[index], -answers.shown[index], index))
    of_each_class = list({answers.label[index]: index for index in reversed(best_first)}.values())[::-1]
    chosen = sorted(of_each_class, key=best_first.index)
    return [*chosen, *(index for index in best_first if index not in set(chosen))][:count]


def respond(
    run: LoadedRun, clips: UnseenClips, networks: Networks, index: int, place: int, moments: int
) -> Response:
    """The response of each compared network to the person at one place of a test clip."""
    view, clip = clips[index], replace(run.experiment.clip, stream="joint")
    high, low = (show([sequence], clip)[0][0, place].numpy() for sequence in (view.high, view.low))
    at = ((np.arange(moments) + 0.5) * clip.frames / moments).astype(np.intp)
    magnitude, largest, said = {}, {}, {}
    for each in run.compared:
        sequence = view.high if each.sees_high else view.low
        logits, features = networks.answer(each.method, show([sequence], each.bundle.metadata.clip))
        strength = response_magnitude(features[0, place].numpy())
        largest[each.method] = float(strength.max())
        relative = strength / max(largest[each.method], 1e-30)
        magnitude[each.method] = at_moments(relative, at, clip.frames)
        said[each.method] = run.classes[int(logits[0].argmax())]
    seen = high[2, at] > 0
    return Response(
        label=clips.clips[index].label,
        source=Path(clips.clips[index].source).name,
        layout=layout_named(clip.layout),
        frames=clip.frames,
        moments=at,
        pose=np.where(seen[..., None], high[:2, at].transpose(1, 2, 0), np.nan),
        hidden=seen & ~(low[2, at] > 0),
        magnitude=magnitude,
        largest=largest,
        said=said,
    )
