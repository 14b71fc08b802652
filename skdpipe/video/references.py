"""Which frames the decoding of other frames needs, as the packets state it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import av.packet
from av.video.stream import VideoStream

_INTRA_ONLY: Final = frozenset({"mjpeg", "prores", "dnxhd"})  # codecs whose frames depend on no other
_JPEG_TABLES: Final = b"\xff\xdb", b"\xff\xc4"  # quantisation and Huffman tables
_JPEG_HEADER: Final = 4096  # bytes in which the tables stand

_SLICE, _PARTITIONS, _IDR, _PARAMETERS = (
    1,
    (2, 3, 4),
    5,
    (7, 8, 13, 15),
)  # types of NAL units, H.264 table 7-1


@dataclass(frozen=True)
class Role:
    """What a frame is for the frames that are decoded after it.

    Attributes:
        restarts: whether no later frame refers to a frame before this one.
        referenced: whether later frames may refer to it.
    """

    restarts: bool
    referenced: bool


RoleOf = Callable[["av.packet.Packet[Any]"], Role]
"""The role of the frame in a packet; raises ValueError if the packet is not certain to be one whole frame."""


def role_reader(stream: VideoStream) -> RoleOf | None:
    """The function that reads roles from the packets of a stream; None if there is none for its codec."""
    codec = stream.codec_context
    if codec.name == "mjpeg":
        return _jpeg_role
    if codec.name in _INTRA_ONLY:
        return lambda packet: Role(restarts=True, referenced=False)
    header = codec.extradata or b""
    if codec.name == "h264" and len(header) > 4 and header[0] == 1:  # as in MP4: NAL units with their lengths
        return lambda packet: _h264_role(memoryview(packet), 1 + (header[4] & 3), header)
    return None


def needed_packets(roles: list[Role], wanted: set[int]) -> set[int]:
    """The packets that must be decoded for those that are wanted.

    Args:
        roles: of all packets, in the order of the file.
        wanted: numbers of packets.
    """
    needed = set()
    follows = False  # whether a later frame is needed that may refer to this one
    for number, role in reversed([*enumerate(roles)]):
        if number in wanted or (follows and role.referenced):
            needed.add(number)
            follows = True
        follows = follows and not role.restarts
    return needed


def _jpeg_role(packet: av.packet.Packet[Any]) -> Role:
    start = memoryview(packet)[:_JPEG_HEADER].tobytes()
    if not all(table in start for table in _JPEG_TABLES):
        raise ValueError("the tables may be those of an earlier frame")
    return Role(restarts=True, referenced=False)


def _h264_role(packet: memoryview, length_bytes: int, header: bytes) -> Role:
    first = 0
    kinds = set()
    for unit in _nal_units(packet, length_bytes):
        kind = unit[0] & 31
        if kind in _PARTITIONS or (kind in _PARAMETERS and unit.tobytes() not in header):
            raise ValueError("data partitions, or parameters that the header of the file does not contain")
        if kind in (_SLICE, _IDR):
            first += unit[1] >> 7  # a slice that starts with the first macroblock
            kinds.add((kind == _IDR, unit[0] >> 5 & 3 > 0))
    if first != 1 or len(kinds) != 1:
        raise ValueError("not one frame")
    return Role(*kinds.pop())


def _nal_units(packet: memoryview, length_bytes: int) -> Iterator[memoryview]:
    at = 0
    while at < len(packet):
        start = at + length_bytes
        at = start + int.from_bytes(packet[at:start], "big")
        if not start + 1 < at <= len(packet):
            raise ValueError("a NAL unit of another length than stated")
        yield packet[start:at]
