"""Finds the places of elements and points among the words of a translation.

A place `k` is in front of word `k`.  Elements take the run of words that came from theirs: the one
with the largest sum of votes for its source span less those against it.  A point goes where most
votes before it are for what stood before it, and those behind it for what stood behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.inference.markup.passage import Mark, MarkKind
from services.inference.markup.translation.words import Word, WordOrder

# Votes for places this many characters away count half when a place in between is looked for.
_NEAR = 10.0
# What a space at a place is worth to a reference for a space.
_SPACE_BONUS = 0.5


@dataclass(slots=True, eq=False)
class Node:
    """An element, whole or one that starts or ends in another segment, or a point.

    `start` and `end` are places in the source, `first` and `last` those in the translation.
    """

    start: int
    end: int
    opening: Mark | None = None
    closing: Mark | None = None
    children: list["Node"] = field(default_factory=list)
    is_blank: bool = True
    first: int = 0
    last: int = 0

    @property
    def point(self) -> Mark | None:
        """The mark, where this is no element."""
        opening = self.opening
        return None if opening is None or opening.kind is MarkKind.OPEN else opening


def tree(marks: Sequence[Mark], text: str) -> Node:
    """The marks of a passage with that text, nested; its root is no element."""
    length = len(text)
    root = Node(0, length)
    path = [root]
    opened: set[int] = set()
    for mark in marks:
        if mark.kind is MarkKind.OPEN:
            node = Node(mark.position, length, mark)
            path[-1].children.append(node)
            path.append(node)
            opened.add(mark.pair)
        elif mark.kind is MarkKind.CLOSE and mark.pair in opened:
            while path[-1].opening is None or path[-1].opening.pair != mark.pair:
                path.pop()
            node = path.pop()
            node.end, node.closing = mark.position, mark
            node.is_blank = not text[node.start : node.end].strip()
        elif mark.kind is MarkKind.CLOSE:
            parent = path[-1]
            parent.children = [Node(0, mark.position, None, mark, parent.children)]
        else:
            path[-1].children.append(Node(mark.position, mark.position, mark))
    return root


def place(root: Node, words: Sequence[Word]) -> None:
    """Sets `first` and `last` of all nodes; siblings get disjoint places, in order."""
    nodes = [root]
    for node in nodes:
        nodes += node.children
    root.first, root.last = 0, len(words)
    if WordOrder.is_needed(len(nodes), words):
        order = WordOrder(words)
        for node in nodes[1:]:
            node.first, node.last = order.place(node.start), order.place(node.end)
    else:
        for node in nodes:
            _Siblings(node, words).place()


class _Siblings:
    """Places the children of a node, among its words."""

    def __init__(self, parent: Node, words: Sequence[Word]) -> None:
        self._children = parent.children
        self._words = words
        self._first, self._last = parent.first, parent.last
        self._taken = [False] * (parent.last - parent.first)
        self._places = set(range(parent.first, parent.last + 1))

    def place(self) -> None:
        """Elements that are cut off first, then whole ones, the surest first, then points."""
        whole: list[Node] = []
        points: list[Node] = []
        for node in self._children:
            if node.opening is None:
                self._take(node, self._first, self._between(node.end))
                self._places.difference_update(range(self._first, node.last))
            elif node.opening.kind is MarkKind.OPEN and node.closing is None:
                self._take(node, self._between(node.start), self._last)
                self._places.difference_update(range(node.first + 1, self._last + 1))
            else:
                (points if node.is_blank else whole).append(node)
        whole.sort(key=lambda node: -self._best_run(node)[0])
        for node in whole:
            self._place_element(node)
        self._place_points(points)
        order = {id(node): index for index, node in enumerate(self._children)}
        self._children.sort(key=lambda node: (node.first, node.last, order[id(node)]))

    def _place_element(self, node: Node) -> None:
        score, first, last = self._best_run(node)
        if score <= 0:
            first, last = self._nearest_word(node)
        self._take(node, first, last)

    def _best_run(self, node: Node) -> tuple[float, int, int]:
        """The free run of words with the best sum of votes, and that sum; Kadane's algorithm."""
        best = (0.0, self._first, self._first)
        total, start = 0.0, self._first
        for index, is_taken in enumerate(self._taken, self._first):
            if is_taken or total <= 0:
                total, start = 0.0, index + is_taken
            if is_taken:
                continue
            for vote in self._words[index].votes:
                total += vote.weight if node.start <= vote.place < node.end else -vote.weight
            if total > best[0]:
                best = (total, start, index + 1)
        return best

    def _nearest_word(self, node: Node) -> tuple[int, int]:
        """The free word that came from nearest to the element; nothing when no word is free."""
        middle = (node.start + node.end) / 2
        distances = [
            (abs(vote.place - middle), index)
            for index, is_taken in enumerate(self._taken, self._first)
            for vote in self._words[index].votes
            if not is_taken
        ]
        if distances:
            index = min(distances)[1]
            return index, index + 1
        place = self._between(node.start)
        return place, place

    def _place_points(self, points: Sequence[Node]) -> None:
        """Broken tags keep their order, since it may mean something to a browser."""
        least = self._first
        for node in points:
            place = self._between(node.start, node.point)
            if node.point is not None and node.point.kind is MarkKind.BROKEN:
                place = least = self._between(node.start, node.point, least)
            node.first = node.last = place

    def _between(self, source: int, point: Mark | None = None, least: int = 0) -> int:
        """The free place, `least` or behind it, that parts best what came from before `source`.

        A reference for a space prefers a place with a space.
        """
        best = (float("-inf"), self._first)
        total = 0.0
        for index in range(self._first, self._last + 1):
            score = total
            if point is not None and point.kind is MarkKind.SPACE and self._has_space(index):
                score += _SPACE_BONUS
            if index >= least and index in self._places and score > best[0]:
                best = (score, index)
            if index < self._last:
                total += _gain(self._words[index], source)
        return best[1]

    def _has_space(self, index: int) -> bool:
        return 0 < index < len(self._words) and self._words[index].space != ""

    def _take(self, node: Node, first: int, last: int) -> None:
        node.first, node.last = first, last
        self._taken[first - self._first : last - self._first] = [True] * (last - first)
        self._places.difference_update(range(first + 1, last))


def _gain(word: Word, source: int) -> float:
    """How much more the word stands for what is before `source` than for what is behind."""
    return sum(
        (vote.weight if vote.place < source else -vote.weight)
        * _NEAR
        / (_NEAR + abs(vote.place - source))
        for vote in word.votes
    )
