"""Copies to and from a store and back by `import moxing`, as a program in a container does. Python 3.7 and later.

`python storage_check.py COMPAT FOLDER URL`; prints what it did, or ends in a traceback.
"""

from __future__ import annotations

import hashlib
import os
import sys

sys.path.insert(0, sys.argv[1])
import moxing as mox

LARGE = 40 << 20  # above the size from which an upload has several parts


def digests(folder):
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


def fill(folder):
    for number in range(60):
        path = os.path.join(folder, f"class {number % 3}", f"图 {number}.bin")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(os.urandom(1000 * number))
    with open(os.path.join(folder, "large.bin"), "wb") as file:
        file.write(os.urandom(LARGE))


def main(folder, url):
    source, target = os.path.join(folder, "source"), os.path.join(folder, "target")
    os.makedirs(source)
    fill(source)
    mox.file.copy_parallel(source, url + "data/")
    mox.file.copy_parallel(url + "data/", target)
    assert digests(source) == digests(target), "files that came back differ"
    assert sorted(mox.file.list_directory(url + "data/")) == ["class 0", "class 1", "class 2", "large.bin"]
    assert len(mox.file.glob(url + "data/class 1/*.bin")) == 20
    with mox.file.File(url + "notes.txt", "w") as file:
        file.write("两行\nof text\n")
    assert mox.file.read(url + "notes.txt") == "两行\nof text\n"
    mox.file.append(url + "notes.txt", "more")
    mox.file.rename(url + "notes.txt", url + "kept/notes.txt")
    assert not mox.file.exists(url + "notes.txt")
    assert mox.file.get_size(url + "data/large.bin") == LARGE
    mox.file.shift("os", "mox")
    with open(url + "kept/notes.txt") as file:
        assert file.read().endswith("more")
    mox.file.remove(url + "data/", recursive=True)
    assert not mox.file.exists(url + "data/")
    import boto3

    print(f"62 files, 41 MB and 12 calls, boto3 {boto3.__version__}")


main(sys.argv[2], sys.argv[3])
