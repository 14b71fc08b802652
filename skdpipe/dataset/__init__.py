"""From the cache to batches: which clips there are, how they are split, how a clip becomes a tensor."""

from skdpipe.dataset.augmentation import Augment, augment
from skdpipe.dataset.clips import Batch, PairedClips, batches, load_views
from skdpipe.dataset.manifest import BOTH, Manifest, PairedClip, build_manifest

__all__ = [
    "BOTH",
    "Augment",
    "Batch",
    "Manifest",
    "PairedClip",
    "PairedClips",
    "augment",
    "batches",
    "build_manifest",
    "load_views",
]
