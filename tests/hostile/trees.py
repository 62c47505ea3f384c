"""Altered octets: trees of DER with some elements changed, and any text with pieces cut, doubled or replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from enum import Enum

from hypothesis import strategies as st

from evse_security.lab.resign import members, tlv


class Length(Enum):
    """How a length is written."""

    DER = "as short as it goes"
    LONG = "in eight octets"
    INDEFINITE = "not at all, with end-of-contents octets"
    SHORT = "one less than it is"
    OVER = "one more than it is"
    ENDLESS = "the longest there is"


@dataclass
class Node:
    """An element whose contents are others, or octets."""

    tag: int
    inside: list[Node] | bytes
    prefix: bytes = b""
    """The count of unused bits of a BIT STRING that holds an element."""
    length: Length = Length.DER

    def encoded(self) -> bytes:
        inside = self.inside if isinstance(self.inside, bytes) else b"".join(node.encoded() for node in self.inside)
        inside = self.prefix + inside
        match self.length:
            case Length.DER:
                return tlv(self.tag, inside)
            case Length.INDEFINITE:
                return bytes((self.tag | 0x20, 0x80)) + inside + b"\0\0"
            case Length.ENDLESS:
                return bytes((self.tag, 0x88)) + b"\xff" * 8 + inside
        length = len(inside) + {Length.SHORT: -1, Length.OVER: 1}.get(self.length, 0)
        return bytes((self.tag, 0x88)) + max(length, 0).to_bytes(8) + inside


def parse(element: bytes) -> Node:
    """The tree of an element in DER, strings that hold elements taken apart as well."""
    [whole] = members(tlv(0x30, element))
    contents = whole[len(whole) - _length(whole) :]
    prefix = b"\0" if whole[0] == 0x03 and contents[:1] == b"\0" else b""
    if whole[0] & 0x20 or (whole[0] in (0x03, 0x04) and _is_sequence(contents[len(prefix) :])):
        return Node(whole[0], [parse(one) for one in members(tlv(0x30, contents[len(prefix) :]))], prefix)
    return Node(whole[0], contents)


def _length(element: bytes) -> int:
    if element[1] < 0x80:
        return element[1]
    return int.from_bytes(element[2 : 2 + (element[1] & 0x7F)])


def _is_sequence(octets: bytes) -> bool:
    return (
        len(octets) > 1 and octets[0] == 0x30 and len(tlv(0x30, octets[len(octets) - _length(octets) :])) == len(octets)
    )


def places(node: Node) -> Iterator[tuple[list[Node], int]]:
    """Every node below, as its siblings and its place among them."""
    if isinstance(node.inside, list):
        for at, inner in enumerate(node.inside):
            yield node.inside, at
            yield from places(inner)


Change = Callable[[st.DrawFn, list[Node], int], None]

TAGS = st.one_of(st.integers(0, 255), st.sampled_from([0x80, 0xA0, 0x30, 0x24, 0x23, 0x17, 0x18]))
MOST_OCTETS = 40_000
"""Longest contents that are doubled again."""


def _retag(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    siblings[at] = replace(siblings[at], tag=draw(TAGS))


def _cut(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    inside = siblings[at].inside
    siblings[at] = replace(siblings[at], inside=inside[: draw(st.integers(0, max(len(inside) - 1, 0)))])


def _extend(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    siblings[at] = Node(siblings[at].tag, siblings[at].encoded()[2:] + draw(st.binary(min_size=1, max_size=20)))


def _replace(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    siblings[at] = Node(siblings[at].tag, draw(st.binary(max_size=40)))


def _wrap(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    for _ in range(draw(st.sampled_from((1, 1, 2, 20, 40)))):
        siblings[at] = Node(siblings[at].tag | 0x20, [siblings[at]])


def _double(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    times = draw(st.sampled_from((1, 1, 1, 2, 10, 100)))
    times = min(times, MOST_OCTETS // (len(siblings[at].encoded()) + 1))
    siblings[at:at] = [deepcopy(siblings[at]) for _ in range(times)]  # not one many times: copies would multiply


def _swap(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    other = draw(st.integers(0, len(siblings) - 1))
    siblings[at], siblings[other] = siblings[other], siblings[at]


def _write_length(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    siblings[at] = replace(siblings[at], length=draw(st.sampled_from(Length)))


CHANGES: tuple[Change, ...] = (
    lambda _draw, siblings, at: siblings.__delitem__(at),
    lambda _draw, siblings, _at: siblings.reverse(),
    _double,
    _swap,
    _retag,
    _cut,
    _extend,
    _replace,
    _wrap,
    _write_length,
)


def change(draw: st.DrawFn, whole: Node, changes: tuple[Change, ...] = CHANGES) -> None:
    """Change one to three of the elements below a node; one may be put in the place of another from elsewhere."""
    for _ in range(draw(st.integers(1, 3))):
        everywhere = list(places(whole))
        if not everywhere:
            return
        siblings, at = everywhere[draw(st.integers(0, len(everywhere) - 1))]
        if draw(st.integers(0, len(changes))):
            draw(st.sampled_from(changes))(draw, siblings, at)
        else:
            others, place = everywhere[draw(st.integers(0, len(everywhere) - 1))]
            siblings[at] = deepcopy(others[place])


@st.composite
def altered_trees(draw: st.DrawFn, encodings: st.SearchStrategy[bytes]) -> bytes:
    """An encoding of DER with one to three of its elements changed, lengths put right around them."""
    whole = Node(0x30, [parse(draw(encodings))])
    change(draw, whole)
    return b"".join(node.encoded() for node in whole.inside if isinstance(node, Node))


@st.composite
def altered_octets(
    draw: st.DrawFn, texts: st.SearchStrategy[bytes], words: tuple[bytes, ...] = (b"-----BEGIN CERTIFI",)
) -> bytes:
    """Octets of which some are deleted, doubled or replaced, wherever that is."""
    octets = draw(texts)
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(octets)))
        end = min(len(octets), begin + draw(st.integers(0, 40)))
        between = draw(st.one_of(st.binary(max_size=8), st.just(octets[begin:end] * 2), st.sampled_from(words)))
        octets = octets[:begin] + between + octets[end:]
    return octets
