"""Checks of the skeletons: detections, differences between the qualities, motion and length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Final

from skdpipe.cache import Quality
from skdpipe.check.inspect import InspectedClip
from skdpipe.check.remedies import leave_out
from skdpipe.config import ClipFormat, EstimatorNoise
from skdpipe.finding import Finding, Level

_HALF: Final = 0.5  # share of frames, people or joints
_MANY: Final = 0.05  # share of clips, people or frames
_SERIOUS: Final = 0.25  # share of clips that are broken
_FRAMES_PER_SECOND: Final = 6.0  # fewer lose movements of two or three times per second
_STRETCHED: Final = 4.0  # input frames by frames of the video


def detect_more(quality: Quality, *, derived: bool) -> str:
    """The remedy for few detections."""
    if derived and quality == "low":
        return "choose weaker settings of derive_low"
    return f"raise the {quality}-cost estimator's long_edge, lower its thresholds, or use another one"


def check_detections(clips: Sequence[InspectedClip], quality: Quality, *, derived: bool) -> Finding:
    """Frames in which people are detected, and joints of these people."""
    found = [
        (each.clip.source, view)
        for each in clips
        if (view := each.high if quality == "high" else each.low) is not None
    ]
    occupied = fmean(view.occupied for _, view in found)
    joints = fmean([view.joints for _, view in found if view.people] or [0.0])
    step = median(view.step for _, view in found)
    empty = [source for source, view in found if not view.people]
    rare = [source for source, view in found if view.people and view.occupied < _HALF]
    sparse = [source for source, view in found if view.occupied >= _HALF and view.joints < _HALF]
    counts = (
        (empty, "are without people"),
        (rare, "have people in less than half of the frames"),
        (sparse, "show less than half of the joints"),
    )
    text = "; ".join(
        [
            f"in {quality} quality, people are detected in {occupied:.0%} of the sampled frames "
            f"({'all' if step == 1 else f'one in {step:g}'}) and {joints:.0%} of their joints",
            *(f"{len(sources)} of {len(found)} clips {what}" for sources, what in counts if sources),
        ]
    )
    level: Level = "fine"
    if joints < _HALF or len(empty) + len(rare) + len(sparse) > _MANY * len(found):
        level = "problem" if len(empty) > _HALF * len(found) else "warning"
    remedy = "" if level == "fine" else detect_more(quality, derived=derived)
    return Finding(f"detections-{quality}", level, text, remedy, (*empty, *rare, *sparse))


def check_loss(noise: EstimatorNoise | None, *, derived: bool) -> Finding:
    """People and joints that low quality loses."""
    if noise is None:
        text = "no person is in both qualities of any clip"
        return Finding("loss", "problem", text, "extract both qualities from the same videos")
    jitter, misses = (fmean(each.values()) for each in (noise.jitter, noise.misses))
    text = (
        f"low quality lacks {noise.lost:.0%} of the people and {misses:.0%} of the joints of the others; its "
        f"joints are off by {jitter:.1%} of the body size"
    )
    if max(noise.lost, misses) <= _HALF:
        return Finding("loss", "fine", text)
    return Finding("loss", "warning", text, detect_more("low", derived=derived))


def not_compared(coordinates: Mapping[Quality, int]) -> Finding:
    """What stands for `check_loss` and `check_sides` if the qualities have different coordinates."""
    text = (
        f"positions are not compared: high quality has {coordinates['high']} coordinates, low quality "
        f"{coordinates['low']}"
    )
    return Finding("loss", "fine", text)


def check_sides(noise: EstimatorNoise | None, *, derived: bool) -> Finding:
    """Left and right exchanged between the qualities."""
    share = noise.swaps if noise is not None else 0.0
    text = f"left and right are exchanged between the qualities in {share:.0%} of the frames"
    if noise is None:
        return Finding("left-right", "fine", "not compared: no person is in both qualities")
    if share <= _MANY:
        return Finding("left-right", "fine", text)
    if share > _HALF:
        remedy = "one of the estimators or imports exchanges left and right joints: correct its layout"
        return Finding("left-right", "problem", text, remedy)
    return Finding("left-right", "warning", text, detect_more("low", derived=derived))


def check_matching(clips: Sequence[InspectedClip], *, derived: bool) -> Finding:
    """People of high quality without a counterpart in low quality."""
    both = [(each, each.high) for each in clips if each.high is not None and each.low is not None]
    people = sum(high.people for _, high in both)
    unmatched = sum(high.people - each.matched for each, high in both)
    share = unmatched / people if people else 1.0
    text = f"{unmatched} of {people} people of high quality have no counterpart in low quality"
    if share <= _MANY:
        return Finding("people", "fine", text)
    partial = sorted(
        (each.matched / high.people, each.clip.source) for each, high in both if each.matched < high.people
    )
    sources = tuple(source for _, source in partial)
    if share > _HALF:
        remedy = "extract both qualities from the same videos, in the same image size and not mirrored"
        return Finding("people", "problem", text, remedy, sources)
    return Finding("people", "warning", text, detect_more("low", derived=derived), sources)


def check_motion(clips: Sequence[InspectedClip]) -> Finding:
    """Clips in which nothing moves."""
    found = tuple(each.clip.source for each in clips if each.best.constant)
    text = f"no joint moves in {len(found)} of {len(clips)} clips"
    if not found:
        return Finding("motion", "fine", text)
    level: Level = "problem" if len(found) > _SERIOUS * len(clips) else "warning"
    return Finding("motion", level, text, leave_out("these clips"), found)


def check_lengths(clips: Sequence[InspectedClip], clip: ClipFormat) -> Finding:
    """Lengths of the clips against the length of the network input."""
    frames, seconds = [each.best.frames for each in clips], [each.best.seconds for each in clips]
    text = (
        f"clips have {min(frames)} to {max(frames)} frames (median {median(frames):g}, "
        f"{median(seconds):.1f} s), the network input has {clip.frames}"
    )
    single = _sources(clips, [each == 1 for each in frames])
    if single:
        text += f"; {len(single)} have a single frame"
        level: Level = "problem" if len(single) > _SERIOUS * len(clips) else "warning"
        return Finding("lengths", level, text, leave_out("these clips"), single)
    if clip.fill == "replay":
        cut = _sources(clips, [each > clip.frames for each in frames])
        text += f"; {len(cut)} are cut" if cut else ""
        if len(cut) > _MANY * len(clips):
            return Finding("lengths", "warning", text, "--set clip.fill=resample", cut)
        return Finding("lengths", "fine", text, "", cut)
    sparse = _sources(clips, [clip.frames / each < _FRAMES_PER_SECOND for each in seconds])
    if sparse:
        text += f"; {len(sparse)} get fewer than {_FRAMES_PER_SECOND:g} frames per second"
    if len(sparse) > _MANY * len(clips):
        frames_needed = round(_FRAMES_PER_SECOND * sorted(seconds)[int(0.9 * (len(seconds) - 1))])
        return Finding(
            "lengths", "warning", text, f"cut the videos, or --set clip.frames={frames_needed}", sparse
        )
    stretched = sum(clip.frames > _STRETCHED * each for each in frames)
    if stretched > _HALF * len(clips):
        text += f"; {stretched} are stretched more than {_STRETCHED:g} times"
        return Finding("lengths", "warning", text, f"--set clip.frames={median(frames):.0f}")
    return Finding("lengths", "fine", text, "", sparse)


def _sources(clips: Sequence[InspectedClip], chosen: Sequence[bool]) -> tuple[str, ...]:
    return tuple(each.clip.source for each, wanted in zip(clips, chosen, strict=True) if wanted)
