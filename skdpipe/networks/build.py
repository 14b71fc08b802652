"""One builder for all networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from skdpipe.errors import ConfigError
from skdpipe.networks.agcn import agcn
from skdpipe.networks.as_gcn import as_gcn
from skdpipe.networks.ctr_gcn import ctr_gcn
from skdpipe.networks.dd_net import dd_net
from skdpipe.networks.graph import Partitioning
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.ms_g3d import ms_g3d
from skdpipe.networks.shift_gcn import shift_gcn
from skdpipe.networks.st_gcn import st_2sgcn, st_gcn, st_sgcn
from skdpipe.networks.st_gcn_plus_plus import st_gcn_plus_plus
from skdpipe.skeleton import Layout


@dataclass(frozen=True)
class _Settings:
    layout: Layout
    classes: int
    people: int
    partitioning: Partitioning
    width: int
    dropout: float


_BUILDERS: Final[Mapping[str, Callable[[_Settings], GraphNetwork]]] = {
    "st_gcn": lambda s: st_gcn(
        s.layout, s.classes, partitioning=s.partitioning, width=s.width, dropout=s.dropout
    ),
    "st_sgcn": lambda s: st_sgcn(
        s.layout, s.classes, partitioning=s.partitioning, width=s.width, dropout=s.dropout
    ),
    "st_2sgcn": lambda s: st_2sgcn(
        s.layout, s.classes, partitioning=s.partitioning, width=s.width, dropout=s.dropout
    ),
    "st_gcn_plus_plus": lambda s: st_gcn_plus_plus(s.layout, s.classes, width=s.width, dropout=s.dropout),
    "agcn": lambda s: agcn(s.layout, s.classes, people=s.people, width=s.width, dropout=s.dropout),
    "as_gcn": lambda s: as_gcn(s.layout, s.classes, width=s.width, dropout=s.dropout),
    "shift_gcn": lambda s: shift_gcn(s.layout, s.classes, people=s.people, width=s.width, dropout=s.dropout),
    "ms_g3d": lambda s: ms_g3d(s.layout, s.classes, people=s.people, width=s.width, dropout=s.dropout),
    "ctr_gcn": lambda s: ctr_gcn(s.layout, s.classes, people=s.people, width=s.width, dropout=s.dropout),
    "dd_net": lambda s: dd_net(s.layout, s.classes, width=s.width, dropout=s.dropout),
}
NETWORKS: Final = tuple(_BUILDERS)


def build_network(
    name: str,
    layout: Layout,
    classes: int,
    *,
    people: int,
    partitioning: Partitioning = "distance",
    width: int = 64,
    dropout: float = 0.0,
) -> GraphNetwork:
    """An untrained network.

    Args:
        name: one of :data:`NETWORKS`.
        layout: joints and bones of the input.
        classes: number of actions.
        people: person slots of a clip; used by 2s-AGCN, Shift-GCN, MS-G3D and CTR-GCN, whose input norm has
            statistics for each slot.
        partitioning: of neighbours into subsets; used by ST-GCN, ST-sGCN and ST-2sGCN.
        width: channels of the first blocks.
        dropout: probability of dropping a value.

    Raises:
        ConfigError: if there is no network of this name, or the width is too small for it.
    """
    if name not in _BUILDERS:
        raise ConfigError(f"there is no network '{name}'; expected one of {', '.join(NETWORKS)}")
    return _BUILDERS[name](_Settings(layout, classes, people, partitioning, width, dropout))
