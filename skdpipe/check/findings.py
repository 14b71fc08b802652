"""The checks: functions from inspected clips to findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

import numpy as np

from skdpipe.cache import Quality
from skdpipe.check.finding import Finding, Level, listed
from skdpipe.check.inspect import InspectedClip, Seen
from skdpipe.config import EstimatorNoise, Experiment
from skdpipe.dataset import BOTH, Manifest
from skdpipe.distill.training import planned_epochs
from skdpipe.significance import chance_level, is_beyond_chance

_FEW_CLIPS: Final = 5  # of a class
_UNEVEN: Final = 3.0  # largest class by smallest
_HALF: Final = 0.5  # share of frames or joints that should be seen
_MANY: Final = 0.1  # share of clips, people or frames that is worth a warning
_NEIGHBOURS: Final = 5
_FEW_STEPS: Final = 300
_STRETCHED: Final = 2.0  # clip.frames by a clip's own frames, or the reverse


def check_classes(clips: Sequence[InspectedClip], manifest: Manifest) -> Finding:
    """Number of clips of each class on each side."""
    train, test = (_labels(clips, train=side) for side in (True, False))
    fewest, most = min(train.values()), max(train.values())
    text = (
        f"{len(manifest.classes)} classes, each with {_range(train.values())} training and "
        f"{_range(test.values())} test clips; {sum(test.values())} test clips, chance {_chance(test):.0f} %"
    )
    small = tuple(label for label in manifest.classes if train[label] < _FEW_CLIPS)
    if small:
        remedy = f"add clips of {listed(small)}, or leave them out with --set without_classes=[NAME]"
        return Finding("classes", "problem", f"{text}; {len(small)} with fewer than {_FEW_CLIPS}", remedy)
    if most > _UNEVEN * fewest:
        text += f"; the largest has {most / fewest:.1f} times as many as the smallest"
        return Finding("classes", "warning", text, "set recipe.balanced=true and read accuracy by class")
    return Finding("classes", "fine", text)


def check_left_out(clips: Sequence[InspectedClip], manifest: Manifest) -> Finding:
    """Cached clips that the experiment cannot use."""
    missing = sum(manifest.left_out.values())
    if not missing:
        return Finding("left-out", "fine", "every cached clip is used")
    reasons = ", ".join(f"{count} with {reason}" for reason, count in manifest.left_out.items())
    level = _warn_if(missing > _MANY * (missing + len(clips)))
    remedy = "unpaired=true trains on clips that one quality sees; see the reasons for the others"
    return Finding("left-out", level, f"{missing} cached clips are left out: {reasons}", remedy)


def check_people_seen(clips: Sequence[InspectedClip], quality: Quality) -> Finding:
    """Frames with people, and joints of these people."""
    found = [(each, view) for each in clips if (view := _view(each, quality)) is not None]
    empty = tuple(each.clip.source for each, view in found if view.features is None)
    rarely = tuple(each.clip.source for each, view in found if view.occupied < _HALF)
    frames = float(np.mean([view.occupied for _, view in found]))
    joints = float(np.mean([view.joints for _, view in found if view.features is not None] or [0.0]))
    text = f"{quality} quality sees people in {frames:.0%} of the frames and {joints:.0%} of their joints"
    remedy = "use a larger long_edge or another estimator, or lower its thresholds"
    name = f"seen-{quality}"
    if empty or rarely:
        text += f"; {len(rarely)} of {len(found)} clips show people in less than half of their frames"
        text += f", {len(empty)} in none" if empty else ""
        level: Level = "warning" if len(rarely) > _MANY * len(found) or empty else "fine"
        return Finding(name, level, text, remedy, empty + tuple(each for each in rarely if each not in empty))
    return Finding(name, "warning" if joints < _HALF else "fine", text, remedy if joints < _HALF else "")


def check_qualities(noise: EstimatorNoise | None) -> Finding:
    """What low quality loses against high quality."""
    if noise is None:
        remedy = "compare the skeletons with `skdpipe report`; raise the low-cost estimator's long_edge"
        return Finding("qualities", "problem", "no person is seen in both qualities of any clip", remedy)
    jitter, misses = (float(np.mean(list(each.values()))) for each in (noise.jitter, noise.misses))
    text = (
        f"low quality misses {noise.lost:.0%} of the people and {misses:.0%} of the joints of the others; "
        f"the joints it sees are off by {jitter:.1%} of the body size"
    )
    if noise.lost > _HALF or misses > _HALF:
        remedy = "raise the low-cost estimator's long_edge or lower its thresholds"
        return Finding("qualities", "warning", text, remedy)
    return Finding("qualities", "fine", text)


def check_sides(noise: EstimatorNoise | None) -> Finding:
    """Left and right exchanged between the qualities."""
    share = noise.swaps if noise is not None else 0.0
    text = f"left and right differ between the qualities in {share:.1%} of the frames"
    if share <= _MANY:
        return Finding("left-right", "fine", text)
    remedy = "if it is nearly all frames, one of the imports is mirrored: compare them with `skdpipe report`"
    return Finding("left-right", "problem" if share > _HALF else "warning", text, remedy)


def check_matching(clips: Sequence[InspectedClip]) -> Finding:
    """People of high quality without a counterpart in low quality."""
    both = [each for each in clips if each.high is not None and each.low is not None]
    people = sum(each.high.people for each in both if each.high is not None)
    unmatched = sum(max(0, each.high.people - each.matched) for each in both if each.high is not None)
    share = unmatched / people if people else 1.0
    text = f"{unmatched} of {people} people of high quality have no counterpart in low quality"
    if share <= _MANY:
        return Finding("people", "fine", text)
    worst = tuple(
        each.clip.source for each in both if each.high is not None and each.high.people > each.matched
    )
    remedy = "their features are not distilled; check that both qualities show the same videos"
    return Finding("people", "problem" if share > _HALF else "warning", text, remedy, worst)


def check_copies(clips: Sequence[InspectedClip]) -> Finding:
    """Equal skeletons on both sides of the split, or within a side."""
    same: defaultdict[str, list[InspectedClip]] = defaultdict(list)
    for each in clips:
        view = each.high or each.low
        if view is not None and view.features is not None:
            same[view.digest].append(each)
    groups = [group for group in same.values() if len(group) > 1]
    across = [group for group in groups if len({each.clip.train for each in group}) == 2]
    if across:
        text = f"{sum(map(len, across))} clips have the same skeletons as one on the other side of the split"
        remedy = "delete the copies, or put all of them on one side: the accuracy is too high with them"
        return Finding("copies", "problem", text, remedy, _sources(across))
    if groups:
        text = f"{sum(map(len, groups))} clips have the same skeletons as another one"
        return Finding("copies", "warning", text, "delete the copies", _sources(groups))
    return Finding("copies", "fine", "no two clips have the same skeletons")


def check_constant(clips: Sequence[InspectedClip]) -> Finding:
    """Clips in which nothing moves."""
    found = tuple(
        each.clip.source
        for each in clips
        for view in [each.high or each.low]
        if view is not None and view.features is not None and view.constant
    )
    text = f"nothing moves in {len(found)} of {len(clips)} clips"
    if not found:
        return Finding("constant", "fine", text)
    level: Level = "problem" if len(found) > _MANY * len(clips) else "warning"
    return Finding("constant", level, text, "look at these clips; leave them out if they are broken", found)


def check_subjects(clips: Sequence[InspectedClip]) -> Finding:
    """Subjects on both sides of the split."""
    sides: defaultdict[str, set[bool]] = defaultdict(set)
    for each in clips:
        if each.subject:
            sides[each.subject].add(each.clip.train)
    if not sides:
        text = "the clips do not name their subjects, so the same person may be on both sides of the split"
        return Finding("subjects", "fine", text, "add a subject column to the CSV if people recur")
    both = tuple(sorted(subject for subject, found in sides.items() if len(found) == 2))
    text = f"{len(both)} of {len(sides)} subjects are on both sides of the split"
    if not both:
        return Finding("subjects", "fine", text)
    remedy = f"the accuracy on new people is lower; split by subject ({listed(both)})"
    return Finding("subjects", "warning", text, remedy)


def check_labels(clips: Sequence[InspectedClip]) -> Finding:
    """Labels that the nearest neighbours in the summary features contradict."""
    labelled = [
        (each, view.features)
        for each in clips
        for view in [each.high or each.low]
        if each.clip.label and view is not None and view.features is not None
    ]
    if len(labelled) <= _NEIGHBOURS:
        return Finding("labels", "warning", "too few clips to compare labels with nearest neighbours")
    names = sorted({each.clip.label for each, _ in labelled})
    label = np.array([names.index(each.clip.label) for each, _ in labelled])
    votes = _neighbour_votes(np.stack([features for _, features in labelled]), label, len(names))
    agreed = int((votes.argmax(axis=1) == label).sum())
    chance = chance_level(label.tolist())
    against = (votes.max(axis=1) == _NEIGHBOURS) & (votes.argmax(axis=1) != label)
    text = (
        f"the {_NEIGHBOURS} nearest clips vote for the label of {agreed / len(label):.0%} of the clips "
        f"(chance {chance:.0f} %), and all for another one for {int(against.sum())} clips"
    )
    doubtful = tuple(
        f"{labelled[index][0].clip.source} ({names[label[index]]}; neighbours {names[votes[index].argmax()]})"
        for index in np.flatnonzero(against)
    )
    if not is_beyond_chance(agreed, label.tolist()):
        remedy = (
            "the skeletons may not show what tells the classes apart, or labels are wrong: look at some clips"
        )
        return Finding("labels", "problem", text, remedy, doubtful)
    return Finding(
        "labels", _warn_if(bool(doubtful)), text, "look at these labels" if doubtful else "", doubtful
    )


def check_lengths(clips: Sequence[InspectedClip], experiment: Experiment) -> Finding:
    """Clip lengths against the length of the network's input."""
    wanted = experiment.clip.frames
    views = [view for each in clips if (view := each.high or each.low) is not None]
    frames, seconds = ([getattr(view, name) for view in views] for name in ("frames", "seconds"))
    text = (
        f"clips have {min(frames)} to {max(frames)} frames (median {median(frames):.0f}, "
        f"{median(seconds):.1f} s), the networks see {wanted}"
    )
    if experiment.clip.fill == "replay":
        cut = sum(each > wanted for each in frames)
        remedy = "set clip.frames to the longest clips, or clip.fill=resample"
        return Finding(
            "lengths", _warn_if(cut > _MANY * len(frames)), f"{text}; {cut} are cut", remedy if cut else ""
        )
    far = [each for each in frames if not 1 / _STRETCHED <= wanted / each <= _STRETCHED]
    if len(far) <= _HALF * len(frames):
        return Finding("lengths", "fine", text)
    text += f"; {len(far)} of {len(frames)} are stretched or shortened more than {_STRETCHED:.0f} times"
    return Finding("lengths", "warning", text, f"set clip.frames to about {median(frames):.0f}")


def check_steps(manifest: Manifest, experiment: Experiment) -> Finding:
    """Number of training steps."""
    clips = len(manifest.part(train=True))
    recipe = experiment.recipe
    epochs = planned_epochs(recipe, clips)
    steps = epochs * -(-clips // recipe.batch)
    text = f"{clips} training clips in batches of {recipe.batch} for {epochs} epochs: {steps} training steps"
    if steps >= _FEW_STEPS:
        return Finding("steps", "fine", text)
    return Finding(
        "steps", "warning", text, "set recipe.steps to 400 or more; networks hardly learn in fewer"
    )


def _view(clip: InspectedClip, quality: Quality) -> Seen | None:
    return clip.high if quality == BOTH[0] else clip.low


def _labels(clips: Sequence[InspectedClip], *, train: bool) -> Counter[str]:
    return Counter(each.clip.label for each in clips if each.clip.train is train and each.clip.label)


def _chance(counts: Mapping[str, int]) -> float:
    return 100 * max(counts.values()) / sum(counts.values())


def _range(counts: Iterable[int]) -> str:
    counts = list(counts)
    fewest, most = min(counts), max(counts)
    return str(fewest) if fewest == most else f"{fewest} to {most}"


def _warn_if(condition: bool) -> Level:
    return "warning" if condition else "fine"


def _sources(groups: Sequence[Sequence[InspectedClip]]) -> tuple[str, ...]:
    return tuple(each.clip.source for group in groups for each in group)


def _neighbour_votes(features: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Votes ``(clip, class)`` of each clip's nearest other clips in standardised features."""
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    squares = (scaled**2).sum(axis=1)
    distance = squares[:, None] + squares - 2 * scaled @ scaled.T
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1)[:, :_NEIGHBOURS]
    votes = np.zeros((len(label), classes), np.int64)
    np.add.at(votes, (np.arange(len(label))[:, None], label[nearest]), 1)
    return votes
