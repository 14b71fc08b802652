"""The model card of a trained network: a Markdown page that goes with it."""

from __future__ import annotations

from skdpipe.inference.metadata import BundleMetadata


def card_of(metadata: BundleMetadata) -> str:
    """The model card of a bundle, from its metadata alone."""
    classes = ", ".join(metadata.classes)
    return f"# {metadata.choice.name}\n\nClasses: {classes}.\n\nLicence: AGPL-3.0-or-later.\n"
