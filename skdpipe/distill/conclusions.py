"""What the results of a run mean, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from skdpipe.distill.methods import BASELINE, FOREST_HIGH, STUDENT, TEACHER
from skdpipe.distill.results import MethodResult, Results, recovered_gap

_OVERFITTED: Final = 20.0  # points between training and test accuracy
LEARNED: Final = 90.0
"""Training accuracy in percent from which a network has learned its training clips."""
NOT_LEARNED: Final = (
    "too few steps (recipe.steps), an unsuitable learning rate, or wrong labels. Run `skdpipe check`."
)
"""Why a network does not learn its training clips, and what helps."""


@dataclass(frozen=True)
class Conclusion:
    """One conclusion.

    Attributes:
        level: a ``problem`` makes the other results meaningless.
        text: one or two sentences.
    """

    level: Literal["problem", "note"]
    text: str


def conclude(results: Results) -> list[Conclusion]:
    """Conclusions from the test results of a run, the problems first."""
    found = [*_about_learning(results), *_about_the_gap(results), *_about_missing_people(results)]
    return sorted(found, key=lambda conclusion: conclusion.level != "problem")


def _about_learning(results: Results) -> Iterator[Conclusion]:
    teacher, forest = results.get(TEACHER.name), results.get(FOREST_HIGH.name)
    for result in results.values():
        if result.figures is not None and not result.is_beyond_chance:
            consequence = " There is nothing to distil." if result is teacher else ""
            yield Conclusion(
                "problem",
                f"{result.title} is not better than chance: {result.top1.in_words('%')} on "
                f"{len(result.label)} test clips, of which the most frequent class has "
                f"{result.chance:.1f} %.{consequence} {_reason(result)}",
            )
    if teacher is None:
        return
    behind = forest.lead_over(teacher) if forest is not None else None
    if behind is not None and behind.low > 0:
        yield Conclusion(
            "problem",
            f"{teacher.title} is behind a random forest on the same skeletons by "
            f"{behind.in_words('points')}. {_reason(teacher)}",
        )
    elif teacher.is_beyond_chance and _is_overfitted(teacher):
        yield Conclusion(
            "note",
            f"{teacher.title} classifies {teacher.training_top1:.1f} % of its training clips and "
            f"{teacher.top1.estimate:.1f} % of the test clips: it overfits. More training clips help most.",
        )


def _reason(result: MethodResult) -> str:
    """The likely reason why a network does not generalise."""
    training = result.training_top1
    if training is None:
        return "Run `skdpipe check`."
    if training >= LEARNED or training - result.top1.estimate >= _OVERFITTED:
        return (
            f"It classifies {training:.1f} % of its training clips, so it has memorised them: too few clips, "
            "wrong labels, or skeletons that do not show what distinguishes the classes. Run `skdpipe check`."
        )
    return (
        f"It classifies only {training:.1f} % of its training clips, so it has not learned them: "
        f"{NOT_LEARNED}"
    )


def _about_the_gap(results: Results) -> Iterator[Conclusion]:
    teacher, baseline, student = (results.get(each.name) for each in (TEACHER, BASELINE, STUDENT))
    if teacher is None or baseline is None or not teacher.is_beyond_chance:
        return
    gap = teacher.lead_over(baseline)
    if gap.low <= 0:
        yield Conclusion(
            "note",
            f"No gap to recover: {teacher.title} leads {baseline.title} by {gap.in_words('points')} on "
            f"{len(teacher.label)} test clips. Either the low-quality skeletons suffice and distillation has "
            "nothing to give, or there are too few test clips to see it.",
        )
    elif student is not None:
        share = recovered_gap(results, student.name)
        assert share is not None
        yield Conclusion(
            "note",
            f"recovered gap: {round(share, 2) + 0:.0%} of the {gap.in_words('points')} by which "
            f"{teacher.title} leads {baseline.title}",
        )
    if student is not None:
        lead = student.lead_over(baseline)
        verdict = "level with"
        if lead.low > 0:
            verdict = "better than"
        elif lead.high < 0:
            verdict = "worse than"
        yield Conclusion(
            "note",
            f"{student.title} is {verdict} {baseline.title}: difference {lead.in_words('points')}",
        )


def _about_missing_people(results: Results) -> Iterator[Conclusion]:
    missing = [each for each in results.values() if each.unseen]
    if missing:
        counts = {each.quality: each.unseen for each in missing}
        clips = ", ".join(f"{count} in {quality} quality" for quality, count in counts.items())
        seen = ", ".join(f"{each.title} {each.top1_where_seen:.1f} %" for each in missing)
        yield Conclusion(
            "note",
            f"Nobody was detected in test clips ({clips}). Their prediction is `no person`, which is not "
            f"correct; accuracy on the other test clips: {seen}.",
        )


def _is_overfitted(result: MethodResult) -> bool:
    return result.training_top1 is not None and result.training_top1 - result.top1.estimate >= _OVERFITTED
