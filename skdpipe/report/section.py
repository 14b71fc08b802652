"""What a section of the report consists of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure

from skdpipe.finding import Finding


class Cell(NamedTuple):
    """A cell of a table with a bar behind its text.

    Attributes:
        text: of the cell.
        share: length of the bar, from 0 to 1.
    """

    text: str
    share: float


class Table(NamedTuple):
    """A table below the figures of a section.

    Attributes:
        header: of the columns.
        rows: the cells, as many as the header has.
        words: number of columns from the left that contain words; the others contain numbers.
        caption: above the table, if any.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    words: int = 1
    caption: str = ""


class Answer(NamedTuple):
    """What a network predicts for a clip.

    Attributes:
        network: title of its method.
        label: the predicted class.
        probability: in words.
        is_correct: whether the label is the true class.
    """

    network: str
    label: str
    probability: str
    is_correct: bool


class MovingClip(NamedTuple):
    """A clip as small moving pictures.

    Attributes:
        strips: of high and low quality: SVG of poses side by side, which the page shows one after the other.
        seconds: for all poses.
        answers: of the networks, that of the section's network first.
        source: of the clip.
    """

    strips: tuple[Markup, Markup]
    seconds: float
    answers: Sequence[Answer]
    source: str


class ClipGroup(NamedTuple):
    """Clips of one true class.

    Attributes:
        label: the class.
        counts: of its clips, in words.
        clips: those that are shown.
    """

    label: str
    counts: str
    clips: Sequence[MovingClip]


class Section(NamedTuple):
    """A section of the report.

    Attributes:
        anchor: its id in links, only letters.
        title: its heading.
        caption: what the figures show, or why there are none.
        figures: drawn one below the other.
        findings: shown in a table.
        conclusion: what follows from the figures, in a sentence or two.
        tables: below the figures.
        groups: of moving pictures.
    """

    anchor: str
    title: str
    caption: str
    figures: Sequence[Figure] = ()
    findings: Sequence[Finding] = ()
    conclusion: str = ""
    tables: Sequence[Table] = ()
    groups: Sequence[ClipGroup] = ()
