"""The data set: clips, split, tensors, batches and augmentation."""

from skdpipe.dataset.augmentation import augment
from skdpipe.dataset.batch import Batch
from skdpipe.dataset.clips import PairedClips, load_qualities
from skdpipe.dataset.loader import BatchPart, Loader, batches
from skdpipe.dataset.manifest import BOTH, Manifest, PairedClip, build_manifest

__all__ = [
    "BOTH",
    "Batch",
    "BatchPart",
    "Loader",
    "Manifest",
    "PairedClip",
    "PairedClips",
    "augment",
    "batches",
    "build_manifest",
    "load_qualities",
]
