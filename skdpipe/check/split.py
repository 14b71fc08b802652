"""Checks of classes, sides of the split and number of training steps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from skdpipe.check.inspect import InspectedClip
from skdpipe.config import Experiment
from skdpipe.dataset import BOTH, Manifest
from skdpipe.dataset.loader import steps_per_epoch
from skdpipe.dataset.manifest import INTENDED_REASONS
from skdpipe.distill.cross_validation import ENOUGH_TEST_CLIPS
from skdpipe.distill.training import planned_epochs
from skdpipe.finding import Finding, Level
from skdpipe.significance import accuracy_interval

_TOO_FEW: Final = 3  # training clips of a class
_FEW: Final = 10
_UNEVEN: Final = 3.0  # largest class by smallest
_MANY_LEFT_OUT: Final = 0.05  # share of the clips
_FEW_STEPS: Final = 300

# The manifest's reasons for leaving out clips, and what to do about each: in general, and by a setting.
_REMEDIES: Final = {
    "no person detected": ("lower the estimator's thresholds, or raise its long_edge", "unpaired"),
    "-quality skeletons": ("run `skdpipe extract` again", "unpaired"),
    "one quality only": ("run `skdpipe extract` again", ""),
    "no label": ("label the clips in the CSV and run `skdpipe extract` again", "unlabelled"),
    "neither label": ("--set labels.high=1 --set labels.low=1", ""),
}


def check_classes(manifest: Manifest, experiment: Experiment) -> Finding:
    """Number of training clips of each class, in the quality that has fewer labelled ones."""
    counts = [
        Counter(each.label for each in manifest.part(train=True, quality=quality, labelled=True))
        for quality in BOTH
    ]
    clips = {label: min(count[label] for count in counts) for label in manifest.classes}
    fewest, most = min(clips.values()), max(clips.values())
    text = f"{len(clips)} classes, each with {_range(clips.values())} training clips"
    unlabelled = sum(not each.label for each in manifest.clips)
    text += f"; {unlabelled} clips without a label" if unlabelled else ""
    small = tuple(sorted((label for label in clips if clips[label] < _FEW), key=lambda each: clips[each]))
    if small:
        level: Level = "problem" if fewest < _TOO_FEW else "warning"
        few = _TOO_FEW if level == "problem" else _FEW
        small = tuple(label for label in small if clips[label] < few)
        text += f"; {len(small)} with fewer than {few}"
        remedy = "add clips of these classes, or leave them out with --set without_classes=[NAME]"
        return Finding("classes", level, text, remedy, small)
    if most > _UNEVEN * fewest:
        text += f"; the largest has {most / fewest:.1f} times as many as the smallest"
        if not experiment.recipe.balanced:
            return Finding("classes", "warning", text, "--set recipe.balanced=true")
    return Finding("classes", "fine", text)


def check_test_clips(manifest: Manifest) -> Finding:
    """Number of test clips of each class, and the precision of an accuracy that they allow."""
    counts = Counter(each.label for each in manifest.part(train=False))
    total = sum(counts.values())
    interval = accuracy_interval(round(0.75 * total), total)
    text = (
        f"{total} test clips, {_range(counts[label] for label in manifest.classes)} of each class, the most "
        f"frequent {max(counts.values()) / total:.0%}; an accuracy of 75 % has the 95 % interval "
        f"{interval.low:.0f} to {interval.high:.0f} %"
    )
    untested = tuple(label for label in manifest.classes if not counts[label])
    if untested:
        text += f"; {len(untested)} classes have none"
        return Finding("test-clips", "warning", text, "add test clips of these classes", untested)
    if total < ENOUGH_TEST_CLIPS:
        return Finding("test-clips", "warning", text, "`skdpipe distill --folds 5` tests every clip once")
    return Finding("test-clips", "fine", text)


def check_left_out(manifest: Manifest, experiment: Experiment) -> Finding:
    """Cached clips that the experiment cannot use."""
    reasons = {reason: count for reason, count in manifest.left_out.items() if reason not in INTENDED_REASONS}
    missing = sum(reasons.values())
    if not missing:
        return Finding("left-out", "fine", "every cached clip is used")
    listed = ", ".join(f"{count} with {reason}" for reason, count in reasons.items())
    text = f"{missing} of {missing + len(manifest.clips)} cached clips are left out: {listed}"
    if missing <= _MANY_LEFT_OUT * (missing + len(manifest.clips)):
        return Finding("left-out", "fine", text)
    commonest = max(reasons, key=lambda reason: reasons[reason])
    remedy, setting = next(found for part, found in _REMEDIES.items() if part in commonest)
    if setting and not getattr(experiment, setting):
        remedy += f"; or --set {setting}=true"
    return Finding("left-out", "warning", text, remedy)


def check_subjects(clips: Sequence[InspectedClip]) -> Finding:
    """Subjects on both sides of the split."""
    sides: defaultdict[str, set[bool]] = defaultdict(set)
    for each in clips:
        if each.subject:
            sides[each.subject].add(each.clip.train)
    if not sides:
        text = "the clips have no subjects; the same person may be on both sides of the split"
        return Finding("subjects", "fine", text)
    both = tuple(sorted(subject for subject, found in sides.items() if len(found) == 2))
    text = f"subjects on both sides of the split: {len(both)} of {len(sides)}"
    if not both:
        return Finding("subjects", "fine", text)
    remedy = (
        "remove the column split from the CSV and run `skdpipe extract` again: it holds out whole subjects"
    )
    return Finding("subjects", "warning", text, remedy, both)


def check_steps(manifest: Manifest, experiment: Experiment) -> Finding:
    """Number of training steps."""
    clips, recipe = len(manifest.part(train=True)), experiment.recipe
    epochs = planned_epochs(recipe, clips)
    steps = epochs * steps_per_epoch(clips, recipe.batch)
    text = f"{clips} training clips in batches of {recipe.batch} for {epochs} epochs: {steps} training steps"
    if steps >= _FEW_STEPS:
        return Finding("steps", "fine", text)
    return Finding("steps", "warning", text, "--set recipe.steps=400")


def _range(counts: Iterable[int]) -> str:
    counts = list(counts)
    fewest, most = min(counts), max(counts)
    return str(fewest) if fewest == most else f"{fewest} to {most}"
