"""Files that are in archives in a bucket, fetched one by one: a .tar by its own headers, a .zip by its directory.

What is found in an archive is what unpacking it gives: the same names, and the same refused. It is kept in a file, so that
the headers of a version of an archive are read once.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from zipfile import ZIP_DEFLATED

from mindlift.errors import StageError, TransferError
from mindlift.locks import create_held
from mindlift.model_utils import image_files
from mindlift.model_utils.staging import archives, members, unpack
from mindlift.storage.copying.download import Download
from mindlift.storage.copying.job import Advance, Job, Unit
from mindlift.storage.copying.local_files import LocalTarget, disk_errors, settle, write_at
from mindlift.storage.copying.plan import Known
from mindlift.storage.errors import MoxFileNotExistsException
from mindlift.storage.places import locate
from mindlift.storage.s3.store import S3Store
from mindlift.storage.store import Entry, Store
from mindlift.storage.url import as_folder

BY_RANGES = (".tar", ".zip")
HEADER_BYTES = 4096  # read at a time; a header of a tar has 512, with a long name 1,536
LOCAL_HEADER_BYTES = 30  # of a zip (APPNOTE.TXT, 4.3.7), before the name and the extra field
LENGTHS_AT = (26, 28)  # in it: two bytes each, of the name and of the extra field
EXTRA_ROOM = 64  # the extra field of a local header may be longer than that of the directory
THREADS = 32
ATTEMPTS = 3  # to get bytes whose sum is right


class Held(NamedTuple):
    """The archives of a place, by keys in the bucket, and what else is there and belongs to the data."""

    archives: Sequence[Entry]
    others: Sequence[Entry] = ()  # keys below the folder
    folder: str = ""  # key of the folder, '' for a lone archive


class Place(NamedTuple):
    """Where a file is: in which archive, and its bytes there. `method` is 0 for bytes as they are."""

    archive: Entry
    offset: int  # of a zip: of the header before the bytes, in which the name has `before` bytes
    length: int
    method: int
    crc: int  # -1: none
    before: int  # -1: no header


class Found(NamedTuple):
    """A file as unpacking gives it."""

    name: str
    size: int
    place: Place


def held_at(url: str) -> Held | None:
    """The archives that `url`, a file or a folder, holds and nothing else; None for other data. DataError as for a copy."""
    store, key = locate(url)
    entry = store.stat(key)
    if entry is None:
        return None
    if not entry.is_folder:
        return Held([entry]) if members.is_archive(entry.key) else None
    start, found = len(entry.key), []
    for each in store.scan(entry.key):
        name = each.key[start:]
        if each.key == entry.key or not image_files.is_data(name.rstrip("/")):
            continue
        if each.is_folder or not archives.is_beside(name):
            return None
        found.append(each)
    inside = archives.chosen([(each.key[start:], False) for each in found], url)
    if not inside.archives:
        return None
    lone = len(inside.archives) == 1
    return Held(
        [each for each in found if each.key[start:] in inside.archives],
        []
        if lone
        else [each._replace(key=each.key[start:]) for each in found if each.key[start:] in inside.others],
        entry.key,
    )


def cannot(held: Held) -> str:
    """Why the files of these archives can't be fetched one by one; '' if they can."""
    packed = [
        each.key.rpartition("/")[2] for each in held.archives if not each.key.lower().endswith(BY_RANGES)
    ]
    return f"{packed[0]} is compressed as a whole" if packed else ""


def prefixes(held: Held) -> dict[str, str]:
    """By the key of an archive, the folder that its content is in."""
    if len(held.archives) == 1:
        return {held.archives[0].key: ""}
    return {each.key: as_folder(members.stem(each.key[len(held.folder) :])) for each in held.archives}


def look_through(
    store: Store, held: Held, known: Mapping[Entry, Sequence[Found]], say: Callable[[str], None]
) -> dict[Entry, Sequence[Found]]:
    """The files of each archive, by names within it; of `known` versions of archives nothing is read."""
    found = {each: known[each] for each in held.archives if each in known}
    new = [each for each in held.archives if each not in known]
    if new:
        say(f"reading the headers of {len(new):,} archives, such as {new[0].key}")
    with ThreadPoolExecutor(min(THREADS, max(1, len(new)))) as pool:
        found.update(zip(new, pool.map(lambda archive: files_of(store, archive), new)))
    return {each: found[each] for each in held.archives}


def files_of(store: Store, archive: Entry) -> list[Found]:
    """StageError for an archive that is damaged, or has what is refused when one is unpacked."""
    name = archive.key.rpartition("/")[2]
    is_folder = {"": True}
    found: list[Found] = []
    limits = unpack.Limits(name, archive.size)
    with io.BufferedReader(Ranges(store, archive), HEADER_BYTES) as file:
        for member in members.members_in(file, name, archive.size, by_ranges=True):
            limits.take(member, is_folder)
            if member.kind == "file":
                found.append(Found(member.path, member.size, Place(archive, *member.place)))
    return [
        each for each in without_lone_folder(found, is_folder, name) if image_files.is_data_path(each.name)
    ]


def without_lone_folder(found: list[Found], is_folder: Mapping[str, bool], archive: str) -> list[Found]:
    """As unpack.single_root; DataError if that is archives again."""
    top = [
        (path, folder)
        for path, folder in is_folder.items()
        if path and "/" not in path and image_files.is_data(path)
    ]
    root = as_folder(top[0][0]) if len(top) == 1 and top[0][1] else ""
    inside = [
        (path[len(root) :], folder)
        for path, folder in is_folder.items()
        if path.startswith(root) and path[len(root) :] and "/" not in path[len(root) :]
    ]
    archives.check_content([each for each in inside if image_files.is_data(each[0])], archive)
    return [each._replace(name=each.name[len(root) :]) for each in found if each.name.startswith(root)]


class Ranges(io.RawIOBase):
    """An object as a file that is read by ranges."""

    def __init__(self, store: Store, entry: Entry):
        self.store, self.entry, self.at = store, entry, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = offset + (0, self.at, self.entry.size)[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        length = min(len(view), self.entry.size - self.at)
        if length <= 0:
            return 0
        view[:length] = exact(self.store, self.entry, self.at, length)
        self.at += length
        return length


def exact(store: Store, archive: Entry, start: int, length: int) -> bytes:
    """MoxFileNotExistsException, so that nobody tries it again, for an archive that is another one by now."""
    try:
        data = store.read(archive.key, start, length, archive.etag)
    except TransferError as err:
        now = store.stat(archive.key)
        if now is not None and (now.size, now.etag) == (archive.size, archive.etag):
            raise
        raise MoxFileNotExistsException(
            f"{archive.key} has changed since its headers were read; start again"
        ) from err
    if len(data) != length:
        raise TransferError(f"{archive.key}: {len(data)} bytes came instead of {length}")
    return data


def content(store: Store, found: Found) -> bytes:
    """The file, checked by its length, and by its sum where it has one, and asked for again if it is not that.

    Without a header before it, it is what the object holds at that place, whatever its sum says: its reader knows that, too.
    """
    place = found.place
    for _ in range(ATTEMPTS):
        data = at_place(store, found)
        if len(data) == found.size and (place.crc < 0 or zlib.crc32(data) == place.crc):
            return data
    if place.before < 0:
        return data
    raise StageError(
        f"{place.archive.key}: member {found.name!r} is damaged: its bytes are not those of its sum"
    )


def at_place(store: Store, found: Found) -> bytes:
    place = found.place
    if place.before >= 0:
        return unpacked(found, behind_header(store, place))
    return exact(store, place.archive, place.offset, place.length) if place.length else b""


def behind_header(store: Store, place: Place) -> bytes:
    """The bytes of a member of a zip, whose header there says where they begin."""
    most = place.archive.size - place.offset
    wanted = LOCAL_HEADER_BYTES + place.before + EXTRA_ROOM + place.length
    data = exact(store, place.archive, place.offset, min(wanted, most))
    start = LOCAL_HEADER_BYTES + sum(int.from_bytes(data[at : at + 2], "little") for at in LENGTHS_AT)
    missing = start + place.length - len(data)
    if missing > 0:
        data += exact(store, place.archive, place.offset + len(data), min(missing, most - len(data)))
    return data[start : start + place.length]


def unpacked(found: Found, data: bytes) -> bytes:
    """What is damaged may have any other length."""
    if found.place.method != ZIP_DEFLATED:
        return data
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, found.size + 1)
    except zlib.error:
        return b""  # which is not the file


def entries(held: Held, found: Mapping[Entry, Sequence[Found]]) -> tuple[list[Entry], dict[str, Found]]:
    """What a copy would have in its folder, in the order of names; and of what is in archives, where."""
    before, listed, places = prefixes(held), list(held.others), {}
    for archive, files in found.items():
        for each in files:
            name = before[archive.key] + each.name
            places[name] = each
            mark = f"{archive.etag}-{each.place.offset}"
            listed.append(Entry(name, each.size, mark, archive.modified_ns))
    return sorted(listed), places


class MemberRoute:
    """Copies files out of archives; what is beside these as any object."""

    def __init__(self, places: Mapping[str, Found], job: Job, advance: Advance):
        assert isinstance(job.source_store, S3Store)
        self.places, self.store, self.advance = places, job.source_store, advance
        self.plain = Download(job, advance)
        self.target: LocalTarget = self.plain.target

    def close(self) -> None:
        self.plain.close()

    def units(self, entry: Entry) -> Iterator[Unit]:
        if entry.key in self.places:
            yield lambda: self.whole(entry)
        else:
            yield from self.plain.units(entry)

    def whole(self, entry: Entry) -> Known:
        data = content(self.store, self.places[entry.key])
        path = self.target.path(entry.key)
        part = self.target.part(path)
        with disk_errors(path, part):
            descriptor = create_held(part)
            try:
                write_at(descriptor, memoryview(data), 0)
                known = settle(descriptor, part, path, entry)
            finally:
                os.close(descriptor)
        self.advance(entry.size)
        return known
