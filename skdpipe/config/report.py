"""Settings of the report about a run."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from skdpipe.config.values import STRICT, BelowOne, Probability


@dataclass(frozen=True, config=STRICT)
class Robustness:
    """Degradations of the test clips; each list contains the strengths of one degradation.

    Attributes:
        clips: largest number of test clips; they are evenly spaced.
        occlusion: probabilities that a joint of a frame is occluded.
        frame_loss: shares of frames that are lost: evenly, at random, and in one block.
        jitter: standard deviations of a joint's position error, as a share of the body size.
        crop: shares of the people's extent that are outside of the picture at one side.
    """

    clips: PositiveInt = 1000
    occlusion: tuple[Probability, ...] = (0.2, 0.4, 0.6, 0.8)
    frame_loss: tuple[BelowOne, ...] = (0.5, 0.75, 0.9)
    jitter: tuple[NonNegativeFloat, ...] = (0.05, 0.1, 0.2)
    crop: tuple[BelowOne, ...] = (0.2, 0.4, 0.6)


@dataclass(frozen=True, config=STRICT)
class WrongClips:
    """The wrongly labelled test clips that are shown as moving pictures, the most confident first.

    Attributes:
        of_class: largest number of clips of one class; 0 shows none.
        clips: largest number of clips; each class has one before any has two.
        poses: number of poses of each clip; a pose has about 200 bytes.
    """

    of_class: Annotated[int, Field(ge=0, le=50)] = 5
    clips: Annotated[int, Field(ge=0, le=500)] = 50
    poses: Annotated[int, Field(ge=2, le=60)] = 16


@dataclass(frozen=True, config=STRICT)
class TSne:
    """The map of the logits.

    Attributes:
        clips: largest number of test clips; they are evenly spaced.
        perplexity: approximate number of neighbours of a clip; limited if there are few clips.
    """

    clips: PositiveInt = 2000
    perplexity: PositiveFloat = 30.0


@dataclass(frozen=True, config=STRICT)
class Report:
    """Content of a report.

    Attributes:
        seed: of t-SNE and of the random degradations.
        response_clips: number of test clips for which the joint response is drawn.
        moments: number of frames of each at which it is drawn.
        t_sne: settings of the map of the logits.
        wrong: settings of the wrongly labelled clips.
        robustness: settings of the robustness curves.
    """

    seed: NonNegativeInt = 0
    response_clips: NonNegativeInt = 2
    moments: Annotated[int, Field(ge=1, le=12)] = 6
    t_sne: TSne = field(default_factory=TSne)
    wrong: WrongClips = field(default_factory=WrongClips)
    robustness: Robustness = field(default_factory=Robustness)
