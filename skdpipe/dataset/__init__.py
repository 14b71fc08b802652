"""The data set: clips, split, tensors, batches and augmentation."""

from skdpipe.dataset.augmentation import augment
from skdpipe.dataset.clips import Batch, PairedClips, load_qualities
from skdpipe.dataset.loader import Augment, batches
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
    "load_qualities",
]
