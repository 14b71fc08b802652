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
    in_channels: int
    partitioning: Partitioning
    width: int
    dropout: float


def _in_st_gcn_family(build: Callable[..., GraphNetwork]) -> Callable[[_Settings], GraphNetwork]:
    return lambda s: build(
        s.layout,
        s.classes,
        in_channels=s.in_channels,
        partitioning=s.partitioning,
        width=s.width,
        dropout=s.dropout,
    )


def _with_person_norm(build: Callable[..., GraphNetwork]) -> Callable[[_Settings], GraphNetwork]:
    return lambda s: build(
        s.layout, s.classes, in_channels=s.in_channels, people=s.people, width=s.width, dropout=s.dropout
    )


def _plain(build: Callable[..., GraphNetwork]) -> Callable[[_Settings], GraphNetwork]:
    return lambda s: build(s.layout, s.classes, in_channels=s.in_channels, width=s.width, dropout=s.dropout)


_BUILDERS: Final[Mapping[str, Callable[[_Settings], GraphNetwork]]] = {
    "st_gcn": _in_st_gcn_family(st_gcn),
    "st_sgcn": _in_st_gcn_family(st_sgcn),
    "st_2sgcn": _in_st_gcn_family(st_2sgcn),
    "st_gcn_plus_plus": _plain(st_gcn_plus_plus),
    "agcn": _with_person_norm(agcn),
    "as_gcn": _plain(as_gcn),
    "shift_gcn": _with_person_norm(shift_gcn),
    "ms_g3d": _with_person_norm(ms_g3d),
    "ctr_gcn": _with_person_norm(ctr_gcn),
    "dd_net": _plain(dd_net),
}
NETWORKS: Final = tuple(_BUILDERS)


def build_network(
    name: str,
    layout: Layout,
    classes: int,
    *,
    people: int,
    coordinates: int = 2,
    confidence: bool = True,
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
        coordinates: 2 or 3. A clip has these channels and then one of the confidence.
        confidence: whether the confidence is used; DD-Net always uses it.
        partitioning: of neighbours into subsets; used by ST-GCN, ST-sGCN and ST-2sGCN.
        width: channels of the first blocks.
        dropout: probability of dropping a value.

    Raises:
        ConfigError: if there is no network of this name, or the width is too small for it.
    """
    if name not in _BUILDERS:
        raise ConfigError(f"there is no network '{name}'; expected one of {', '.join(NETWORKS)}")
    in_channels = coordinates + (confidence or name == "dd_net")
    settings = _Settings(layout, classes, people, in_channels, partitioning, width, dropout)
    network = _BUILDERS[name](settings)
    network.in_channels = in_channels
    return network
