"""The skeleton as a graph: who is a neighbour of whom, and of which kind.

An adjacency is ``(subset, joint, joint)`` float32; entry ``[k, v, w]`` is the weight with which
joint ``w`` listens to its neighbour ``v`` of kind ``k``. A joint is a neighbour of itself. The
three ways of sorting neighbours into subsets are those of Yan, Xiong, Lin, "Spatial Temporal
Graph Convolutional Networks", AAAI 2018, section 3.3. Summed over subsets they are the same graph.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import shortest_path

from skdpipe.skeleton import Layout

Array = NDArray[np.float32]
Partitioning = Literal["uniform", "distance", "spatial"]


def adjacency(layout: Layout, partitioning: Partitioning) -> Array:
    """The normalised adjacency of a layout, ``(subset, joint, joint)``."""
    partition = {"uniform": uniform, "distance": distance, "spatial": spatial}[partitioning]
    return partition(layout)


def uniform(layout: Layout) -> Array:
    """One subset: a joint and its neighbours alike."""
    return normalised_links(layout)[None]


def distance(layout: Layout) -> Array:
    """Two subsets: the joint itself, and its neighbours."""
    hops = hop_distances(layout)
    return _split(normalised_links(layout), hops == 0, hops == 1)


def spatial(layout: Layout) -> Array:
    """Three subsets: neighbours as far from the root as the joint itself, nearer, and farther.

    Distances to the root are whole hop distances, as the ST-GCN paper has it. (The released code
    cuts them off at one hop, so that away from the root nearer and farther fall together.)
    """
    to_root = hop_distances(layout)[layout.index(layout.root)]
    neighbour, joint = to_root[:, None], to_root[None, :]
    return _split(normalised_links(layout), neighbour == joint, neighbour < joint, neighbour > joint)


def hop_distances(layout: Layout) -> Array:
    """How many bones lie between two joints, ``(joint, joint)``; infinite if they do not hang together."""
    bones = np.zeros((len(layout), len(layout)))
    for a, b in layout.edges:
        bones[a, b] = 1
    hops: Array = shortest_path(bones, directed=False, unweighted=True).astype(np.float32)
    return hops


def normalised_links(layout: Layout) -> Array:
    """The links between a joint and those at most one bone away, every column summing to one.

    ``A D^-1`` with ``D`` the diagonal of column sums: ``normalize_digraph`` of the released ST-GCN.
    """
    links: Array = (hop_distances(layout) <= 1).astype(np.float32)
    degree: Array = links.sum(axis=0)
    return links / degree


def _split(links: Array, *kinds: NDArray[np.bool_]) -> Array:
    return np.stack([np.where(kind, links, np.float32(0)) for kind in kinds])
