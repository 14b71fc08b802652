"""Footage of procedural actors, minutes long: people come, stand, act, stand and leave; all of it is known.

A cast is made of visits. In a visit one person, or a pair, is at one place before the one camera of the
footage and performs actions with idle stretches between them. The truth is a `Timeline`: a segment for each
action, a segment without a label for each idle stretch, and one with the reason ``no person`` where nobody is
in view. Nothing is learned from these subjects: their numbers are higher than those of the demonstration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, Final, TypeVar

import numpy as np

from skdpipe.inference.timeline import Box, Segment, Span, Timeline
from skdpipe.skeleton import COCO_17, UNSEEN, Keypoints, Origin, PoseSequence
from skdpipe.skeleton.people import box_corners
from skdpipe.skeleton.sequence import clip_key
from skdpipe.synthetic import ACTIONS, Scene, render_frame
from skdpipe.synthetic.actions import PAIR_ACTIONS, pose_action
from skdpipe.synthetic.actors import Actor, Lighting, sample_actors, sample_lighting
from skdpipe.synthetic.body import Array, Figure, move_figure
from skdpipe.synthetic.camera import Camera
from skdpipe.synthetic.motion import ActionInput, ease, finish_figure, idle_hands, pose_trunk
from skdpipe.video import Frame

FPS: Final = 12.0
SOLO_ACTIONS: Final = tuple(action for action in ACTIONS if action not in PAIR_ACTIONS)

_FIRST_SUBJECT: Final = 500_000
_REPEATED: Final = frozenset({"clap", "rub_hands", "wave", "jumping_jack", "squat"})
_TRANSITION: Final = 3  # frames in which an idle person passes into an action, or out of it
_STREAM: Final = 9  # of random numbers; those of synthetic/ are 0 to 4
_Tree = TypeVar("_Tree", Figure, Any)


@dataclass(frozen=True)
class Part:
    """What the people of a visit do for some frames: an action, or None if they stand idle."""

    action: str | None
    frames: int


@dataclass(frozen=True, eq=False)
class Visit:
    """A person or a pair in view.

    Attributes:
        start: the first frame in view.
        parts: one after the other; the first and the last are idle.
        people: the number of each person in the footage.
        actors: of each part, the people.
    """

    start: int
    parts: tuple[Part, ...]
    people: tuple[int, ...]
    actors: tuple[tuple[Actor, ...], ...]

    @property
    def starts(self) -> list[int]:
        """The first frame of each part, and the frame after the last part."""
        return [self.start, *(self.start + np.cumsum([part.frames for part in self.parts])).tolist()]

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        """Of each person, in all frames of the visit."""
        return tuple(self._figure(person) for person in range(len(self.people)))

    def _figure(self, person: int) -> Figure:
        posed: list[Figure] = []
        for part, actors, start in zip(self.parts, self.actors, self.starts, strict=False):
            actor = actors[person]
            if part.action is None:
                figure = _idle(actor, (start - self.start + np.arange(part.frames)) / FPS)
            else:
                time = np.arange(part.frames) / FPS
                figure = pose_action(actor.body, actor.style, actor.parameters, time, part.frames / FPS)
            posed.append(move_figure(figure, actor.position, actor.heading))
        for number, part in enumerate(self.parts):
            if part.action is None:
                before = posed[number - 1] if number > 0 else None
                after = posed[number + 1] if number + 1 < len(posed) else None
                posed[number] = _pass_over(posed[number], before, after)
        return _merge(posed, np.concatenate)


@dataclass(frozen=True)
class _PosedScene(Scene):
    """A scene whose figures are given."""

    posed: tuple[Figure, ...] = ()

    @property
    def figures(self) -> tuple[Figure, ...]:  # type: ignore[override]
        return self.posed


@dataclass(frozen=True, eq=False)
class Footage:
    """Footage with exact truth.

    Attributes:
        together: whether people who are in view at once do one thing together, and the labels are theirs
            together (``person`` is None); otherwise each person is labelled apart.
    """

    name: str
    seed: int
    frames: int
    size: tuple[int, int]
    camera: Camera
    lighting: Lighting
    visits: tuple[Visit, ...]
    together: bool

    @property
    def seconds(self) -> float:
        """Length."""
        return self.frames / FPS

    @cached_property
    def poses(self) -> PoseSequence:
        """The exact poses, ``(frame, person, 17, 3)``; a person's index is the number."""
        people = 1 + max((number for visit in self.visits for number in visit.people), default=0)
        keypoints = np.tile(UNSEEN, (self.frames, people, len(COCO_17), 1))
        for visit in self.visits:
            for number, figure in zip(visit.people, visit.figures, strict=True):
                keypoints[visit.start : visit.starts[-1], number] = self._project(figure)
        origin = Origin(self.name, clip_key(f"{self.name}/{self.seed}"), "exact")
        index = np.arange(self.frames, dtype=np.int32)
        return PoseSequence(keypoints, index, self.frames, COCO_17, FPS, self.size, origin)

    def _project(self, figure: Figure) -> Keypoints:
        xy = self.camera.project(figure.joints())[..., :2]
        inside = ((xy >= -0.5) & (xy < np.array(self.size) - 0.5)).all(axis=-1, keepdims=True)
        return np.concatenate([np.where(inside, xy, np.nan), inside], axis=-1).astype(np.float32)

    @cached_property
    def truth(self) -> Timeline:
        """Who does what, when."""
        segments = [segment for visit in self.visits for segment in self._segments(visit)]
        if self.together:
            segments += [
                Segment(start / FPS, end / FPS, None, 0.0, reason="no person") for start, end in self._empty()
            ]
        people = tuple(
            Span(number, visit.start / FPS, (visit.starts[-1] - 1) / FPS, visit.starts[-1] - visit.start)
            for visit in self.visits
            for number in visit.people
        )
        ordered = tuple(
            sorted(segments, key=lambda each: (each.start, -1 if each.person is None else each.person))
        )
        return Timeline(self.name, self.seconds, self.size, ordered, people, self.frames)

    def _segments(self, visit: Visit) -> Iterator[Segment]:
        for part, start, end in zip(visit.parts, visit.starts, visit.starts[1:], strict=False):
            known = {"label": part.action, "probability": float(part.action is not None)}
            reason = None if part.action else "unsure"
            if self.together:
                yield Segment(start / FPS, end / FPS, **known, reason=reason)
                continue
            for number in visit.people:
                box = median_box(self.poses.keypoints[start:end, number])
                yield Segment(start / FPS, end / FPS, **known, person=number, box=box, reason=reason)

    def _empty(self) -> list[tuple[int, int]]:
        """The stretches in which nobody is in view: the first frame, and the frame after the last."""
        busy = np.zeros(self.frames + 2, bool)
        for visit in self.visits:
            busy[visit.start + 1 : visit.starts[-1] + 1] = True
        busy[[0, -1]] = True
        change = np.diff(busy.astype(int))
        return list(
            zip(np.flatnonzero(change == -1).tolist(), np.flatnonzero(change == 1).tolist(), strict=True)
        )

    def render(self) -> Iterator[Frame]:
        """The frames ``(height, width, 3)`` RGB, one after the other."""
        edges = {0, self.frames, *(edge for visit in self.visits for edge in visit.starts)}
        for start, end in zip(sorted(edges), sorted(edges)[1:], strict=False):
            scene = self._scene(start, end)
            for frame in range(end - start):
                yield render_frame(scene, frame)[0]

    def _scene(self, start: int, end: int) -> Scene:
        """Frames between two of which no part starts or ends."""
        actors: list[Actor] = []
        figures: list[Figure] = []
        for visit in self.visits:
            if visit.start <= start and end <= visit.starts[-1]:
                part = int(np.searchsorted(visit.starts, start, side="right")) - 1
                actors += visit.actors[part]
                figures += [_between(each, start - visit.start, end - visit.start) for each in visit.figures]
        numbers = (self.seed, _FIRST_SUBJECT, 0)
        return _PosedScene(
            "",
            tuple(actors),
            self.camera,
            self.lighting,
            numbers,
            self.size,
            end - start,
            FPS,
            tuple(figures),
        )


def median_box(people: Keypoints) -> Box:
    """Of one person over time, ``(frame, joint, 3)``."""
    lowest, highest = box_corners(people)
    seen = np.isfinite(lowest).all(axis=-1)
    left, top, right, bottom = np.median(np.hstack([lowest, highest])[seen], axis=0).tolist()
    return left, top, right, bottom


# --------------------------------------------------------------------------------------------------------
# Casts


def one_at_a_time(seed: int, *, visits: int = 12) -> Footage:
    """One person or pair at a time, all ten actions; then nobody is in view for two to eight seconds."""
    rng, size = np.random.default_rng([seed, _STREAM]), (240, 180)
    remaining = _shuffled_endlessly(rng, ACTIONS)
    made: list[Visit] = []
    frame, number = _draw_frames(rng, 2, 4), 0
    for subject in range(visits):
        action = next(remaining)
        solo = [action] + [next_of(remaining, SOLO_ACTIONS) for _ in range(rng.integers(0, 3))]
        actions = [action] if action in PAIR_ACTIONS else solo
        visit = _visit(rng, (seed, _FIRST_SUBJECT + subject, 0), actions, frame, number, (0.0, 0.0))
        made.append(visit)
        number += len(visit.people)
        frame = visit.starts[-1] + _draw_frames(rng, 2, 8)
    return _footage("one at a time", rng, seed, frame, size, 0.68, made, together=True)


def side_by_side(seed: int, *, lanes: int = 2, seconds: float = 120.0) -> Footage:
    """Two or three places side by side; at each, people come and go and act on their own."""
    rng, share = np.random.default_rng([seed, _STREAM, lanes]), {2: 0.66, 3: 0.74}[lanes]
    size = {2: (240, 180), 3: (320, 180)}[lanes]
    metres = _WIDTH_SHARE[lanes] * size[0] * _TALL / (share * size[1])
    frames = round(seconds * FPS)
    made: list[Visit] = []
    number = 0
    for lane in range(lanes):
        place = (float(rng.uniform(-0.3, 0.3)), metres * (lane / (lanes - 1) - 0.5))
        remaining = _shuffled_endlessly(rng, SOLO_ACTIONS)
        frame = _draw_frames(rng, 0.5, 6)
        while True:
            actions = [next(remaining) for _ in range(rng.integers(1, 4))]
            numbers = (seed, _FIRST_SUBJECT + 1000 * (lane + 1) + number, 0)
            visit = _visit(rng, numbers, actions, frame, number, place)
            if visit.starts[-1] > frames - FPS:
                break
            made.append(visit)
            number += 1
            frame = visit.starts[-1] + _draw_frames(rng, 6, 12)
    return _footage(f"{lanes} side by side", rng, seed, frames, size, share, made, together=False)


def nobody(seed: int, *, seconds: float = 60.0) -> Footage:
    """The background alone."""
    rng = np.random.default_rng([seed, _STREAM])
    return _footage("nobody", rng, seed, round(seconds * FPS), (240, 180), 0.7, [], together=True)


_TALL: Final = 1.72
_WIDTH_SHARE: Final = {2: 0.5, 3: 0.62}  # of the frame, between the outermost people


def _footage(
    name: str, rng: np.random.Generator, seed: int, frames: int, size: tuple[int, int], share: float,
    visits: Sequence[Visit], *, together: bool,
) -> Footage:  # fmt: skip
    """A camera before which a person has this share of the height of the frame."""
    distance = 5.5
    focal = share * size[1] * distance / _TALL
    centre = ((size[0] - 1) / 2, (size[1] - 1) / 2 + 0.02 * size[1])
    elevation = float(np.deg2rad(rng.uniform(0, 8)))
    camera = Camera((0.0, 0.0, 0.54 * _TALL), 0.0, elevation, distance, focal, centre)
    return Footage(name, seed, frames, size, camera, sample_lighting(rng), tuple(visits), together)


def _visit(
    rng: np.random.Generator, numbers: tuple[int, int, int], actions: Sequence[str], start: int, number: int,
    place: tuple[float, float],
) -> Visit:  # fmt: skip
    """Idle, action, idle, action..., idle."""
    parts = [Part(None, _draw_frames(rng, 1, 2.5))]
    for action in actions:
        longest = 5.0 if action in _REPEATED else 2.4
        parts += [Part(action, _draw_frames(rng, 2, longest)), Part(None, _draw_frames(rng, 1, 4))]
    turn = _sample_heading(rng, pair=actions[0] in PAIR_ACTIONS)
    people = sample_actors(rng, actions[0], numbers)
    actors = []
    for part in parts:
        drawn = sample_actors(rng, part.action or actions[0], numbers)
        drawn = drawn if drawn[0].body == people[0].body else drawn[::-1]
        actors.append(
            tuple(_as(person, act, turn, place, part) for person, act in zip(people, drawn, strict=True))
        )
    if len(people) > 1:  # a pair stands as in the action
        actors = [actors[1]] * len(actors)
    return Visit(start, tuple(parts), tuple(range(number, number + len(people))), tuple(actors))


def _as(person: Actor, acting: Actor, turn: float, place: tuple[float, float], part: Part) -> Actor:
    """The person, in clothes and style, with the parameters of the action of another sample."""
    x, y = acting.position
    c, s = np.cos(turn), np.sin(turn)
    position = (float(place[0] + c * x - s * y), float(place[1] + s * x + c * y))
    held = acting.held_object if part.action else ""
    return replace(
        person,
        parameters=acting.parameters,
        held_object=held,
        position=position,
        heading=acting.heading + turn,
    )


def _sample_heading(rng: np.random.Generator, *, pair: bool) -> float:
    """Towards the camera or away from it, as often as in the demonstration; a pair is seen from the side."""
    if pair:
        return float(np.deg2rad(rng.choice([-90, 90]) + np.clip(rng.normal(0, 24), -60, 60)))
    bands = [rng.uniform(0, 25), rng.uniform(25, 65), rng.uniform(65, 110), rng.uniform(110, 180)]
    return float(np.deg2rad(rng.choice([-1, 1]) * rng.choice(bands, p=[0.38, 0.36, 0.15, 0.11])))


def _draw_frames(rng: np.random.Generator, shortest: float, longest: float) -> int:
    """Between two numbers of seconds."""
    return round(rng.uniform(shortest, longest) * FPS)


def _shuffled_endlessly(rng: np.random.Generator, names: Sequence[str]) -> Iterator[str]:
    while True:
        yield from (names[index] for index in rng.permutation(len(names)))


def next_of(names: Iterator[str], wanted: Sequence[str]) -> str:
    """The next of the names that is wanted."""
    return next(name for name in names if name in wanted)


# --------------------------------------------------------------------------------------------------------
# Figures


def _idle(actor: Actor, time: Array) -> Figure:
    """A person who stands."""
    given = ActionInput(actor.body, actor.style, actor.parameters, time, 1.0)
    trunk = pose_trunk(given)
    return finish_figure(given, trunk, idle_hands(given, trunk))


def _pass_over(idle: Figure, before: Figure | None, after: Figure | None) -> Figure:
    """The idle figure, which starts at the last pose before it and ends at the first pose after it."""
    share = ease(np.arange(1, _TRANSITION + 1) / (_TRANSITION + 1))
    frames = len(idle.elbows)
    assert frames >= 2 * _TRANSITION
    for neighbour, row, weight in ((before, -1, np.r_[1 - share, np.zeros(frames - _TRANSITION)]),
                                   (after, 0, np.r_[np.zeros(frames - _TRANSITION), share])):  # fmt: skip
        if neighbour is not None:
            idle = _merge(
                [idle, neighbour], lambda arrays, row=row, weight=weight: _blend(*arrays, row, weight)
            )
    return idle


def _blend(first: Array, second: Array, row: int, weight: Array) -> Array:
    """From the first to one row of the second; blended rotations are made rotations again."""
    share = weight.reshape(-1, *[1] * (first.ndim - 1))
    mixed = (1 - share) * first + share * second[row]
    if first.shape[-2:] == (3, 3):
        u, _, v = np.linalg.svd(mixed)
        mixed = u @ v
    return np.asarray(mixed)


def _between(figure: Figure, first: int, last: int) -> Figure:
    """The figure in the frames from the first to before the last."""
    return _merge([figure], lambda arrays: arrays[0][first:last])


def _merge(trees: Sequence[_Tree], how: Callable[[list[Array]], Array]) -> _Tree:
    """A figure (or trunk) made of several, array by array."""
    first = trees[0]
    merged = {}
    for each in fields(first):
        values = [getattr(tree, each.name) for tree in trees]
        if is_dataclass(values[0]):
            merged[each.name] = _merge(values, how)
        elif isinstance(values[0], np.ndarray):
            merged[each.name] = how(values)
    return replace(first, **merged)
