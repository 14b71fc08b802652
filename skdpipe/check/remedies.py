"""Remedies that several checks have in common."""

from __future__ import annotations


def leave_out(clips: str) -> str:
    """How to remove clips from an experiment."""
    return (
        f"give {clips} an empty label in the CSV of the videos and run `skdpipe extract` again; "
        "imported clips: list their names in a file for `skdpipe import --skip FILE`, into another cache"
    )
