"""Networks that classify the action of a clip of skeletons.

Every network is called as ``network(x, mask)`` and returns a :class:`NetworkOutput`:

- ``x`` is ``(batch, person, channel, frame, joint)``, finite wherever ``mask`` is true;
- ``mask`` is ``(batch, person)``, true for real people, false for padding.
"""

from skdpipe.networks.agcn import agcn
from skdpipe.networks.as_gcn import as_gcn
from skdpipe.networks.build import NETWORKS, build_network
from skdpipe.networks.continual import ContinualNetwork, ContinualOutput, continual_to_onnx
from skdpipe.networks.cost import count_multiply_adds, count_parameters, multiply_adds_in
from skdpipe.networks.ctr_gcn import ctr_gcn
from skdpipe.networks.dd_net import dd_net
from skdpipe.networks.deploy import DeployedNetwork, LogitsOnly, deployed, to_onnx
from skdpipe.networks.graph import Partitioning
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import adaptation_layer
from skdpipe.networks.ms_g3d import ms_g3d
from skdpipe.networks.output import Network, NetworkOutput
from skdpipe.networks.shift_gcn import shift_gcn
from skdpipe.networks.st_gcn import st_2sgcn, st_gcn, st_sgcn
from skdpipe.networks.st_gcn_plus_plus import st_gcn_plus_plus

__all__ = [
    "NETWORKS",
    "ContinualNetwork",
    "ContinualOutput",
    "DeployedNetwork",
    "GraphNetwork",
    "LogitsOnly",
    "Network",
    "NetworkOutput",
    "Partitioning",
    "adaptation_layer",
    "agcn",
    "as_gcn",
    "build_network",
    "continual_to_onnx",
    "count_multiply_adds",
    "count_parameters",
    "ctr_gcn",
    "dd_net",
    "deployed",
    "ms_g3d",
    "multiply_adds_in",
    "shift_gcn",
    "st_2sgcn",
    "st_gcn",
    "st_gcn_plus_plus",
    "st_sgcn",
    "to_onnx",
]
