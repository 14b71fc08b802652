"""Labels for new videos, frames or pose sequences: numpy in, labels out.

What footage and videos need is imported by the first of them: a clip of skeletons is labelled sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from skdpipe.errors import BundleError, DataError
from skdpipe.inference.metadata import BundleMetadata
from skdpipe.inference.model_input import batch_input
from skdpipe.inference.prediction import Prediction, rank_classes
from skdpipe.inference.runtimes import Runtime, finite_logits
from skdpipe.skeleton import Layout, Origin, PoseSequence, layout_named, map_layout
from skdpipe.skeleton.plausible import HIGHEST_FPS, LOWEST_FPS, require_plausible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skdpipe.inference.continual import ContinualRuntime
    from skdpipe.inference.timeline import Reason, Scores, Timeline
    from skdpipe.inference.window_settings import FootageSettings
    from skdpipe.pose.decoding import SampledEstimator
    from skdpipe.pose.follow import Extent
    from skdpipe.skeleton.tracks import TrackedFrame

_NO_ESTIMATOR: Final = (
    "this predictor has no estimator and labels pose sequences only; name an estimator to label videos"
)


class Predictor:
    """Labels clips with a low-cost estimator and a trained network.

    :func:`skdpipe.load_predictor` makes one from a bundle.

    Args:
        metadata: of the bundle.
        runtime: runs the network.
        estimator: detects people in frames; None if only pose sequences are labelled.
        batch: number of frames in one call of the estimator.
        continual: runs the trained network frame by frame on footage; None for sliding windows.
        without: why there is no estimator and what to do, for the error that a video then gives.

    Raises:
        BundleError: if the estimator's joints cannot be mapped to the bundle's.
    """

    def __init__(
        self,
        metadata: BundleMetadata,
        runtime: Runtime,
        estimator: SampledEstimator | None = None,
        *,
        batch: int = 16,
        continual: ContinualRuntime | None = None,
        without: str = _NO_ESTIMATOR,
    ) -> None:
        self.metadata = metadata
        self.runtime = runtime
        self.continual = continual
        self._estimator = estimator
        self._batch = batch
        self._without = without
        if estimator is not None:
            _require_mappable(estimator, metadata)

    def require_estimator(self) -> SampledEstimator:
        """The estimator and its sampling.

        Raises:
            BundleError: if there is none.
        """
        if self._estimator is None:
            raise BundleError(self._without)
        return self._estimator

    @property
    def layout(self) -> Layout:
        """The layout of the estimator's skeletons.

        Raises:
            BundleError: if there is no estimator.
        """
        return self.require_estimator().estimator.layout

    def predict(
        self,
        clip: str | Path | NDArray[np.uint8] | PoseSequence,
        fps: float | None = None,
        *,
        min_probability: float = 0.0,
    ) -> Prediction:
        """Label one clip.

        Args:
            clip: path of a video, RGB frames ``(frame, height, width, 3)`` uint8, or a pose sequence.
            fps: frames per second, needed with frames and only there.
            min_probability: lowest probability of a label.

        Raises:
            VideoError: if the video cannot be decoded.
            DataError: if the layout of a pose sequence cannot be mapped to the bundle's, its values are not
                plausible, or frames come without a frame rate.
            BundleError: if an estimator is needed and there is none, or the network's output is not finite.
        """
        if isinstance(clip, PoseSequence):
            require_plausible(clip)
            return self._classify(clip, min_probability)
        return self._classify(self.estimate_poses(clip, fps), min_probability)

    def is_footage(self, seconds: float) -> bool:
        """Whether a video of that length is footage, to be labelled in windows, rather than one clip.

        It is longer than the student's longest training clip and than two windows. Nothing is footage for a
        bundle that does not state how long its training clips are.
        """
        trained = self.metadata.training_clips
        return trained is not None and seconds > max(trained.longest, 2 * trained.window)

    def label_footage(
        self,
        footage: str | Path | PoseSequence,
        settings: FootageSettings | None = None,
        *,
        on_frame: Callable[[TrackedFrame], None] = lambda frame: None,
        on_scores: Callable[[Scores], None] = lambda scores: None,
    ) -> Timeline:
        """Label what happens in a long video, in sliding windows.

        Args:
            footage: path of a video, or a pose sequence.
            settings: of windows and labels.
            on_frame: called with the people of each frame on which the estimator ran.
            on_scores: called with the probabilities of each window.

        Raises:
            BundleError, DataError, VideoError: as :meth:`predict`; `BundleError` also if the length of a
                window is not known.
        """
        from skdpipe.inference.footage import FootageLabeller, Labels
        from skdpipe.inference.pose_footage import format_of, frames_of, timeline_of
        from skdpipe.inference.window_settings import FootageSettings, windows_of
        from skdpipe.inference.windows import FootageFormat

        windows = windows_of(self.metadata, settings or FootageSettings())
        frames: Generator[TrackedFrame, None, Extent]
        if isinstance(footage, PoseSequence):
            require_plausible(footage)
            source, format, frames = footage.origin.source, format_of(footage), frames_of(footage)  # noqa: A001
        else:
            from skdpipe.pose.follow import track_video
            from skdpipe.video import probe

            estimator, source = self.require_estimator(), str(footage)
            info = probe(Path(footage))
            format = FootageFormat(estimator.estimator.layout, info.size, info.fps, estimator.every)  # noqa: A001
            frames = track_video(Path(footage), estimator, batch=self._batch)
        labeller = FootageLabeller(self.metadata, self.runtime, windows, format, self.continual)
        found, count = Labels(), 0

        def add(labels: Labels) -> None:
            for each in labels.scores:
                on_scores(each)
            found.add(labels)
            found.windows.clear()  # the segments are enough, and windows are many
            found.scores.clear()

        with closing(frames):
            while True:
                try:
                    frame = next(frames)
                except StopIteration as end:
                    extent: Extent = end.value
                    break
                add(labeller.add(frame))
                on_frame(frame)
                count += 1
        add(labeller.finish(extent.seconds))
        return timeline_of(found, source, extent.seconds, extent.size, count)

    def estimate_poses(
        self,
        clip: str | Path | NDArray[np.uint8],
        fps: float | None = None,
        *,
        on_frames: Callable[[int], None] = lambda frames: None,
    ) -> PoseSequence:
        """Detect and track the people of a video or of frames; arguments as for :meth:`predict`.

        Args:
            on_frames: called with the number of frames since the call before.
        """
        from skdpipe.pose.estimate import estimate_frames, estimate_video

        estimator, people = self.require_estimator(), self.metadata.clip.people
        if isinstance(clip, np.ndarray):
            if (
                clip.ndim != 4
                or clip.shape[3] != 3
                or clip.dtype != np.uint8
                or not fps
                or not LOWEST_FPS <= fps <= HIGHEST_FPS
            ):
                raise DataError(
                    f"frames of shape {clip.shape}, {clip.dtype}, fps {fps}; expected RGB frames "
                    "(frame, height, width, 3) uint8 and their frames per second"
                )
            return estimate_frames(
                clip,
                fps,
                [estimator],
                Origin("frames"),
                people=people,
                batch=self._batch,
                on_frames=on_frames,
            )[0]
        path = Path(clip)
        return estimate_video(
            path, [estimator], Origin(str(path)), people=people, batch=self._batch, on_frames=on_frames
        )[0]

    def _classify(self, sequence: PoseSequence, min_probability: float) -> Prediction:
        frames = len(sequence.frame_index)
        if sequence.is_empty:
            return Prediction(sequence.origin.source, (), 0, frames, "no person")
        clips, masks = batch_input([sequence], self.metadata.clip)
        logits = finite_logits(self.runtime, clips, masks, sequence.origin.source)[0]
        ranked = rank_classes(logits, self.metadata.classes, self.metadata.temperature)
        reason: Reason | None = "unsure" if ranked[0][1] < min_probability else None
        return Prediction(sequence.origin.source, ranked, int(masks.sum()), frames, reason)


def _require_mappable(estimator: SampledEstimator, metadata: BundleMetadata) -> None:
    """Map one unseen person, so that a layout that does not fit is found before the first video."""
    layout = estimator.estimator.layout
    nobody = np.zeros((1, 1, len(layout), 3), np.float32)
    sequence = PoseSequence(nobody, np.zeros(1, np.int32), 1, layout, 25.0, (1, 1))
    try:
        map_layout(sequence, layout_named(metadata.clip.layout))
    except DataError as error:
        raise BundleError(f"the estimator's skeletons do not fit the bundle: {error}") from error
