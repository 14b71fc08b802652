"""Settings of the report about a run."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from skdpipe.config.values import STRICT, BelowOne, Probability


@dataclass(frozen=True, config=STRICT)
class Robustness:
    """How the test clips are spoilt, from little to much; each list is one curve's horizontal axis.

    Attributes:
        clips: so many of the test clips are tried, evenly spread over them.
        occlusion: probabilities that a joint of a frame is hidden.
        frame_loss: shares of the frames that are lost: evenly, at random, and in one block.
        jitter: standard deviation of a joint's error as a share of the body's size.
    """

    clips: PositiveInt = 1000
    occlusion: tuple[Probability, ...] = (0.2, 0.4, 0.6, 0.8)
    frame_loss: tuple[BelowOne, ...] = (0.5, 0.75, 0.9)
    jitter: tuple[NonNegativeFloat, ...] = (0.05, 0.1, 0.2)


@dataclass(frozen=True, config=STRICT)
class TSne:
    """The map of the logits.

    Attributes:
        clips: so many of the test clips are shown, evenly spread over them.
        perplexity: how many neighbours a clip has, roughly; made smaller where there are few clips.
    """

    clips: PositiveInt = 2000
    perplexity: PositiveFloat = 30.0


@dataclass(frozen=True, config=STRICT)
class Report:
    """What a report shows.

    Attributes:
        seed: of t-SNE and of the random degradations.
        response_clips: for how many test clips the response is drawn.
        moments: at how many moments of each.
        t_sne, robustness: how these two are made.
    """

    seed: NonNegativeInt = 0
    response_clips: NonNegativeInt = 2
    moments: Annotated[int, Field(ge=1, le=12)] = 6
    t_sne: TSne = field(default_factory=TSne)
    robustness: Robustness = field(default_factory=Robustness)
