"""The skeletons on which an exported network is compared with the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from skdpipe.bundle import Bundle
from skdpipe.cache import PoseCache
from skdpipe.ensemble import cached_test_clips
from skdpipe.errors import BundleError, DataError
from skdpipe.inference.model_input import Floats, Mask, batch_input
from skdpipe.skeleton import PoseSequence
from skdpipe.storage import is_folder

_MOST: Final = 256  # clips

T = TypeVar("T")


@dataclass(frozen=True)
class Skeletons:
    """Real clips as the input of a network.

    Attributes:
        x: ``(clip, person, channel, frame, joint)``.
        mask: ``(clip, person)``; somebody is seen in every clip.
        origin: where they come from, in words.
        sources: paths of their videos or files.
    """

    x: Floats
    mask: Mask
    origin: str
    sources: tuple[str, ...]


def skeletons_of(
    bundle: Bundle, path: Path, cache: PoseCache, given: Sequence[PoseSequence] | None
) -> Skeletons:
    """At most 256 clips in which somebody is seen: those that are given, or the bundle's test clips.

    Raises:
        DataError: if there are none, or those that are given do not fit the bundle.
        BundleError: if the bundle does not say which clips of the cache are its test clips.
    """
    if given is not None:
        return _of_sequences(bundle, given)
    if "experiment" not in bundle.metadata.run:
        raise BundleError(
            f"{path} does not say what its test clips are, with which the export is compared; name skeletons "
            "with --skeletons"
        )
    if not is_folder(cache.root):
        raise DataError(
            f"no pose cache at {cache.root}; expected the test clips of {path}, with which the export is "
            "compared: name their cache with --cache, or other skeletons with --skeletons"
        )
    test = cached_test_clips(bundle, path, cache)
    chosen = evenly_spaced(range(len(test.data)), _MOST)
    inputs = [test.data.to_input(test.data[each]).of_quality(test.quality) for each in chosen]
    x, mask = (np.stack([each.numpy() for each in part]) for part in zip(*inputs, strict=True))
    origin = f"test clips of {cache.root}, {test.described}"
    return _with_people(Skeletons(x, mask, origin, tuple(test.sources[each] for each in chosen)))


def _of_sequences(bundle: Bundle, given: Sequence[PoseSequence]) -> Skeletons:
    shown = [each for each in given if not each.is_empty]
    if not shown:
        raise DataError(
            f"nobody is seen in the {len(given)} clips that were named; expected clips with people"
        )
    chosen = evenly_spaced(shown, _MOST)
    x, mask = batch_input(chosen, bundle.metadata.clip)
    sources = tuple(each.origin.source for each in chosen)
    return _with_people(Skeletons(x, mask, "clips that were named", sources))


def _with_people(found: Skeletons) -> Skeletons:
    kept: Mask = np.any(found.mask, axis=1)
    if not kept.any():
        raise DataError(f"nobody is seen in the {len(kept)} {found.origin}; name others with --skeletons")
    sources = tuple(each for each, here in zip(found.sources, kept, strict=True) if here)
    return Skeletons(found.x[kept], found.mask[kept], found.origin, sources)


def evenly_spaced(items: Sequence[T], most: int) -> list[T]:
    """All items, or so many of them from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(len(items), most))
    return [items[round(place)] for place in places.tolist()]
