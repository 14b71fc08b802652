"""Labels for new videos, frames or pose sequences: numpy in, labels out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skdpipe.errors import BundleError, DataError
from skdpipe.inference.metadata import BundleMetadata
from skdpipe.inference.model_input import batch_input
from skdpipe.inference.prediction import Prediction, rank_classes
from skdpipe.inference.runtimes import Runtime
from skdpipe.pose.estimate import SampledEstimator, estimate_frames, estimate_video
from skdpipe.skeleton import Origin, PoseSequence, layout_named, map_layout
from skdpipe.skeleton.plausible import HIGHEST_FPS, LOWEST_FPS, require_plausible

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Predictor:
    """Labels clips with a low-cost estimator and a trained network.

    :func:`skdpipe.load_predictor` makes one from a bundle.

    Args:
        metadata: of the bundle.
        runtime: runs the network.
        estimator: detects people in frames; None if only pose sequences are labelled.
        batch: number of frames in one call of the estimator.

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
    ) -> None:
        self.metadata = metadata
        self.runtime = runtime
        self._estimator = estimator
        self._batch = batch
        if estimator is not None:
            _require_mappable(estimator, metadata)

    def predict(
        self, clip: str | Path | NDArray[np.uint8] | PoseSequence, fps: float | None = None
    ) -> Prediction:
        """Label one clip.

        Args:
            clip: path of a video, RGB frames ``(frame, height, width, 3)`` uint8, or a pose sequence.
            fps: frames per second, needed with frames and only there.

        Raises:
            VideoError: if the video cannot be decoded.
            DataError: if the layout of a pose sequence cannot be mapped to the bundle's, its values are not
                plausible, or frames come without a frame rate.
            BundleError: if an estimator is needed and there is none, or the network's output is not finite.
        """
        if isinstance(clip, PoseSequence):
            require_plausible(clip)
            return self._classify(clip)
        return self._classify(self.estimate_poses(clip, fps))

    def estimate_poses(self, clip: str | Path | NDArray[np.uint8], fps: float | None = None) -> PoseSequence:
        """Detect and track the people of a video or of frames; arguments as for :meth:`predict`."""
        if self._estimator is None:
            raise BundleError(
                "this predictor has no estimator and labels pose sequences only; name an estimator "
                "to label videos"
            )
        people = self.metadata.clip.people
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
                clip, fps, [self._estimator], Origin("frames"), people=people, batch=self._batch
            )[0]
        path = Path(clip)
        return estimate_video(path, [self._estimator], Origin(str(path)), people=people, batch=self._batch)[0]

    def _classify(self, sequence: PoseSequence) -> Prediction:
        frames = len(sequence.frame_index)
        if sequence.is_empty:
            return Prediction(sequence.origin.source, (), 0, frames)
        clips, masks = batch_input([sequence], self.metadata.clip)
        logits = self.runtime(clips, masks)[0]
        if not np.isfinite(logits).all():
            raise BundleError(
                f"the network's output for {sequence.origin.source} is not finite; train it again"
            )
        ranked = rank_classes(logits, self.metadata.classes)
        return Prediction(sequence.origin.source, ranked, int(masks.sum()), frames)


def _require_mappable(estimator: SampledEstimator, metadata: BundleMetadata) -> None:
    """Map one unseen person, so that a layout that does not fit is found before the first video."""
    layout = estimator.estimator.layout
    nobody = np.zeros((1, 1, len(layout), 3), np.float32)
    sequence = PoseSequence(nobody, np.zeros(1, np.int32), 1, layout, 25.0, (1, 1))
    try:
        map_layout(sequence, layout_named(metadata.clip.layout))
    except DataError as error:
        raise BundleError(f"the estimator's skeletons do not fit the bundle: {error}") from error
