"""What is fetched and what is removed, where a disk is smaller than the data: integers only, no files, no clock.

What is read is known ahead, round by round (a round is what all ranks of a node read for one batch each, of the training or
of an evaluation between its steps). So the rule is
Belady's (1966): what is read furthest in the future goes first; what has just come may be that itself, and then is removed
once it is read. The rule is applied to the list of what will be read, some way ahead of the readers: what it lets go stays
until its readers have passed the round that reads it last, for which a part of the room is kept free.

What is asked for outside of the rounds (by eval.py, or another job) is a guest: guests have a part of the room for
themselves, and of them the one goes that has not been asked for the longest.
"""

from __future__ import annotations

import heapq
from array import array
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Sequence
from itertools import islice

NEVER = 1 << 62  # the next use of what is not in the known future
LEAST_ROUNDS = 16  # that a cache has to hold: RESERVED, GUESTS, and some that stay
RESERVED, MOST_RESERVED, GUESTS = 4, 64, 8  # rounds
SHARE = 20  # a twentieth of the room: for guests at least, for what is read at the moment at most
BEFORE = -1  # the round of what was here at the beginning
LEAST_ITEMS = 1024  # of the future that is known


class Room:
    """How `size` bytes are divided, where a round takes at most `a_round`."""

    def __init__(self, size: int, a_round: int):
        self.size = size
        self.guests = max(GUESTS * a_round, size // SHARE)
        reserve = max(RESERVED * a_round, min(size // SHARE, MOST_RESERVED * a_round))
        self.scheduled = size - self.guests
        self.kept = self.scheduled - reserve  # what Belady's rule fills


class Future:
    """What will be read: items by position, and for each position where its item comes again."""

    def __init__(self, items: int, first: int):
        self.start = 0  # the position of the first one that is kept
        self.items, self.rounds, self.again = array("i"), array("i"), array("q")
        self.last = array("q", [-1]) * items  # position of each item's last reading that is known
        self.round = first
        self.is_whole = False

    @property
    def end(self) -> int:
        return self.start + len(self.items)

    def add(self, items: Iterable[int]) -> list[tuple[int, int]]:
        """A further round; the positions of its items, each once."""
        found = []
        for item in dict.fromkeys(items):
            position = self.end
            if self.last[item] >= self.start:
                self.again[self.last[item] - self.start] = position
            self.last[item] = position
            self.items.append(item)
            self.rounds.append(self.round)
            self.again.append(NEVER)
            found.append((item, position))
        self.round += 1
        return found

    def at(self, position: int) -> tuple[int, int, int]:
        """Item, round, and where the item comes again."""
        place = position - self.start
        return self.items[place], self.rounds[place], self.again[place]

    def forget(self, until: int) -> None:
        count = until - self.start
        if count > len(self.items) // 2:
            del self.items[:count], self.rounds[:count], self.again[:count]
            self.start = until


class CachePlan:
    """Of items 0, 1, ... of `sizes` bytes, those in `here` are on disk, which may take `size` bytes."""

    def __init__(self, sizes: Sequence[int], here: Iterable[int], size: int):
        self.sizes, self.here = sizes, set(here)
        self.under_way: set[int] = set()
        self.pending: deque[int] = deque()  # to be fetched, in the order of the rounds
        self.room = Room(size, 0)
        self.room.guests = size
        self.disk_bytes = self.bytes_of(self.here)  # with what is under way
        self.removed: list[int] = []
        self.begin_rule()
        self.asked: deque[int] = deque()
        self.guests: OrderedDict[int, None] = OrderedDict()  # with what of them is under way
        self.guest_bytes = 0

    def begin_rule(self) -> None:
        self.future: Future | None = None  # until the rounds are known
        self.in_a_round = 0  # items at most
        self.position = self.passed = self.ahead = (
            0  # applied up to; done by all readers; how far it may look, in rounds
        )
        self.next_use = array("q", [NEVER]) * len(self.sizes)
        self.kept = dict.fromkeys(
            self.here, BEFORE
        )  # by the rule, though it may still have to come: its last round
        self.kept_bytes = self.bytes_of(self.kept)
        self.furthest = [(-NEVER, item) for item in self.kept]
        self.leaving: dict[int, int] = {}  # by the rule, and the round that reads it last
        self.by_round: list[tuple[int, int]] = []

    def bytes_of(self, items: Iterable[int]) -> int:
        return sum(self.sizes[item] for item in items)

    def begin(self, first: int, most_in_a_round: int, apart: Collection[int] = ()) -> int:
        """Rounds will be told, from number `first` on, without the items that are `apart`; returns the least size of a cache
        for them.
        """
        sizes = (size for item, size in enumerate(self.sizes) if item not in apart)
        a_round = sum(heapq.nlargest(max(1, most_in_a_round), sizes))
        self.room = Room(self.room.size, a_round)
        self.future, self.passed = Future(len(self.sizes), first), first
        self.in_a_round = most_in_a_round
        self.ahead = len(self.sizes) // max(1, most_in_a_round) + LEAST_ROUNDS
        self.make_room(0)
        return LEAST_ROUNDS * a_round

    def have_none(self) -> None:
        """There are no rounds: what is read is only asked for, and all room is the guests'."""
        for item in sorted(self.kept):
            self.invite(item)
        self.kept.clear()
        self.kept_bytes = 0
        self.make_room(0)

    def add(self, rounds: Iterable[Sequence[int]], is_whole: bool = False) -> None:
        """What is read next, in its order; `is_whole`: and nothing after it."""
        assert self.future is not None
        self.future.is_whole = is_whole
        for each in rounds:
            for item, position in self.future.add(each):
                if self.next_use[item] == NEVER:
                    self.next_use[item] = position
                    if item in self.kept:
                        heapq.heappush(self.furthest, (-position, item))

    @property
    def lacks(self) -> bool:
        """Whether more rounds should be told: where an item comes again is found within two readings of all."""
        if self.future is None or self.future.is_whole:
            return False
        return self.future.end - self.position < 2 * len(self.sizes) + LEAST_ITEMS

    def take(self) -> int | None:
        """The next item to fetch, if there is room for it. What is `removed` has to be removed before."""
        item = self.next_guest()
        if item is not None:
            return item
        self.look_ahead()
        self.advance(self.passed)
        while self.pending:
            item = self.pending[0]
            is_needed = self.is_scheduled(item)  # else its round has passed meanwhile
            if is_needed and not self.can_begin(item):
                return None
            self.pending.popleft()
            if is_needed and item not in self.here and item not in self.under_way:
                self.begun(item)
                return item
        return None

    def next_guest(self) -> int | None:
        while self.asked:
            item = self.asked[0]
            if self.is_welcome(item) or not self.make_room(self.sizes[item]):
                self.asked.popleft()
                continue
            self.asked.popleft()
            self.begun(item)
            self.invite(item)
            return item
        return None

    def can_begin(self, item: int) -> bool:
        """Whether there is room beside the guests, of whom it may have been one."""
        is_here = item in self.here or item in self.under_way
        if is_here and item not in self.guests:
            return True
        if self.disk_bytes - self.guest_bytes + self.sizes[item] > self.room.scheduled:
            return False
        if item in self.guests:
            self.dismiss(item)
        return True

    def begun(self, item: int) -> None:
        self.under_way.add(item)
        self.disk_bytes += self.sizes[item]

    def arrived(self, item: int) -> None:
        self.under_way.discard(item)
        self.here.add(item)
        if item in self.leaving:
            heapq.heappush(self.by_round, (self.leaving[item], item))

    def failed(self, item: int, comes_again: bool) -> None:
        self.under_way.discard(item)
        self.disk_bytes -= self.sizes[item]
        queue = self.asked if item in self.guests else self.pending
        if item in self.guests:
            self.dismiss(item)
        if comes_again:
            queue.appendleft(item)

    def advance(self, passed: int) -> None:
        """All readers have done with the rounds before `passed`."""
        self.passed = max(self.passed, passed)
        while self.by_round and self.by_round[0][0] < self.passed:
            round_, item = heapq.heappop(self.by_round)
            if self.leaving.get(item) == round_ and item in self.here:
                del self.leaving[item]
                if item not in self.guests:
                    self.remove(item)

    def remove(self, item: int) -> None:
        self.here.discard(item)
        self.disk_bytes -= self.sizes[item]
        self.removed.append(item)

    # guests

    def ask(self, items: Iterable[int]) -> None:
        self.asked.extend(items)

    def is_welcome(self, item: int) -> bool:
        """Whether it is here, and stays for a while, or is under way."""
        if item in self.guests:
            self.guests.move_to_end(item)
        elif item in self.here and item in self.leaving:
            del self.leaving[item]
            self.make_room(self.sizes[item])
            self.invite(item)
        return item in self.here or item in self.under_way

    def read_next(self) -> set[int]:
        """What the next round of the slowest reader reads, as far as it is not here by the rule."""
        found = set(islice(self.pending, 2 * self.in_a_round))
        position = self.position
        while self.future is not None and position < self.future.end:
            item, round_, _ = self.future.at(position)
            if round_ > self.passed:
                break
            found.add(item)
            position += 1
        return found

    def is_scheduled(self, item: int) -> bool:
        return item in self.kept or item in self.leaving

    def invite(self, item: int) -> None:
        self.guests[item] = None
        self.guest_bytes += self.sizes[item]

    def dismiss(self, item: int) -> None:
        del self.guests[item]
        self.guest_bytes -= self.sizes[item]

    def make_room(self, size: int) -> bool:
        """For a guest; whether there is enough."""
        needed = self.read_next() if self.guest_bytes + size > self.room.guests else ()
        present = [item for item in self.guests if item in self.here and item not in needed]
        for item in sorted(present, key=self.is_scheduled):  # what the rounds read, too, goes last
            if self.guest_bytes + size <= self.room.guests:
                break
            self.dismiss(item)
            self.remove(item)
        while self.future is None and self.kept and self.disk_bytes + size > self.room.size:
            item = next(iter(self.kept))  # nobody knows yet what will be read
            del self.kept[item]
            self.kept_bytes -= self.sizes[item]
            self.remove(item)
        return self.guest_bytes + size <= self.room.guests

    # the rule

    def look_ahead(self) -> None:
        """Apply the rule up to the next item that has to be fetched."""
        future = self.future
        if future is None:
            return
        while not self.pending and self.position < future.end and not self.lacks:
            item, round_, again = future.at(self.position)
            if round_ > self.passed + self.ahead:
                break
            self.position += 1
            self.use(item, round_, again)
        future.forget(self.position)

    def use(self, item: int, round_: int, again: int) -> None:
        if item not in self.kept:
            self.leaving.pop(item, None)
            self.kept_bytes += self.sizes[item]
            self.pending.append(item)  # which passes over what is here
        self.kept[item], self.next_use[item] = round_, again
        heapq.heappush(self.furthest, (-again, item))
        while self.kept_bytes > self.room.kept:
            self.let_go()

    def let_go(self) -> None:
        """Of what is read furthest in the future, or never again."""
        while True:
            next_use, item = heapq.heappop(self.furthest)
            if item in self.kept and -next_use == self.next_use[item]:
                break
        self.leaving[item] = self.kept.pop(item)
        self.kept_bytes -= self.sizes[item]
        heapq.heappush(self.by_round, (self.leaving[item], item))
