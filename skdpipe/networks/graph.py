"""The skeleton as a graph: adjacencies of joints, split by kind of neighbour.

An adjacency is ``(subset, joint, joint)`` float32; entry ``[k, v, w]`` is the weight of the source joint
``v``, a neighbour of kind ``k``, in the aggregation of the target joint ``w``. A joint is a neighbour of
itself. The three partitionings are those of Yan, Xiong, Lin, "Spatial Temporal Graph Convolutional Networks",
AAAI 2018, section 3.3. The sum over subsets is the same for all of them.
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
    """One subset: a joint and all its neighbours."""
    return normalised_links(layout)[None]


def distance(layout: Layout) -> Array:
    """Two subsets: the joint itself, and its neighbours."""
    hops = hop_distances(layout)
    return _split(normalised_links(layout), hops == 0, hops == 1)


def spatial(layout: Layout) -> Array:
    """Three subsets: neighbours as far from the root as the joint itself, nearer, and farther.

    Distances to the root are whole hop distances, as in the ST-GCN paper. (The released code limits them to
    one hop, so away from the root the subsets nearer and farther are merged.)
    """
    to_root = hop_distances(layout)[layout.index(layout.root)]
    neighbour, joint = to_root[:, None], to_root[None, :]
    return _split(normalised_links(layout), neighbour == joint, neighbour < joint, neighbour > joint)


def hop_distances(layout: Layout) -> Array:
    """The number of bones between two joints, ``(joint, joint)``; infinite if they are not connected."""
    bones = np.zeros((len(layout), len(layout)))
    for a, b in layout.edges:
        bones[a, b] = 1
    hops: Array = shortest_path(bones, directed=False, unweighted=True).astype(np.float32)
    return hops


def normalised_links(layout: Layout) -> Array:
    """The links between joints at most one bone apart; every column sums to one.

    ``A D^-1`` with ``D`` the diagonal of column sums: ``normalize_digraph`` of the released ST-GCN.
    """
    links: Array = (hop_distances(layout) <= 1).astype(np.float32)
    degree: Array = links.sum(axis=0)
    return links / degree


def _split(links: Array, *kinds: NDArray[np.bool_]) -> Array:
    return np.stack([np.where(kind, links, np.float32(0)) for kind in kinds])
