"""Every spelling of a place, and what is no place."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from mindlift.errors import ConfigError
from mindlift.storage.url import Remote, as_file, as_folder, from_job_path, is_remote, join, local_path, parse


@pytest.mark.parametrize(
    ("url", "bucket", "key"),
    [
        ("obs://bucket/a/b", "bucket", "a/b"),
        ("s3://bucket/a/b", "bucket", "a/b"),
        ("s3:///bucket/a/b", "bucket", "a/b"),
        ("obs:///bucket/a/b", "bucket", "a/b"),
        ("obs:/bucket/a/b", "bucket", "a/b"),
        (PurePosixPath("obs://bucket/a/b"), "bucket", "a/b"),
        ("OBS://bucket/a", "bucket", "a"),
        ("obs://bucket//a///b", "bucket", "a/b"),
        ("obs://bucket/a/b/", "bucket", "a/b/"),
        ("obs://bucket/a//", "bucket", "a/"),
        ("obs://bucket", "bucket", ""),
        ("obs://bucket/", "bucket", ""),
        ("obs://bucket///", "bucket", ""),
        ("s3://My.Bucket_1/a", "My.Bucket_1", "a"),
        ("obs://bucket/a b/%41+?x=1#y&z/数据", "bucket", "a b/%41+?x=1#y&z/数据"),
        ("obs://bucket/http://x", "bucket", "http:/x"),
    ],
)
def test_places_in_a_bucket(url, bucket, key):
    found = parse(url)
    assert found is not None
    assert (found.bucket, found.key) == (bucket, key)
    assert is_remote(url)
    assert parse(str(found)) == found, "a place survives being printed"


@pytest.mark.parametrize(
    "path", ["/bucket/key/", "a/b", "", "~/x", "file:///a", "obs", "obs:a", "C:/x", "xobs://b/k"]
)
def test_local_paths(path):
    assert parse(path) is None
    assert not is_remote(path)


@pytest.mark.parametrize(
    "url", ["obs://", "s3:///", "obs:///", "obs://a b/c", "obs://x", "s3://-a/b", "obs://桶/a"]
)
def test_a_url_without_a_bucket_is_refused_in_one_line(url):
    with pytest.raises(ConfigError) as caught:
        parse(url)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("/bucket/key/", "obs://bucket/key/"),
        ("bucket/key", "obs://bucket/key"),
        (" /bucket/key/ ", "obs://bucket/key/"),
        ("//bucket/key", "obs://bucket/key"),
        ("s3://bucket/key/", "s3://bucket/key/"),
    ],
)
def test_paths_of_a_job_description(given, url):
    assert from_job_path(given) == url


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("file:///a/b c", "/a/b c"),
        ("~/x", f"{os.environ.get('HOME', '')}/x"),
        ("/a/%41", "/a/%41"),
        ("a/", "a/"),
        (Path("/p"), "/p"),
    ],
)
def test_local_path(given, path):
    assert local_path(given) == path


@pytest.mark.parametrize(
    ("url", "names", "joined"),
    [
        ("obs://b/k", ["x"], "obs://b/k/x"),
        ("obs://b/k/", ["/x", "y/"], "obs://b/k/x/y/"),
        ("obs://b", ["x"], "obs://b/x"),
        ("/a", ["b", "c"], "/a/b/c"),
        ("", ["b"], "b"),
        ("/a", [], "/a"),
    ],
)
def test_join(url, names, joined):
    assert join(url, *names) == joined


@pytest.mark.parametrize(
    ("key", "folder", "file"), [("", "", ""), ("/", "", ""), ("a", "a/", "a"), ("a/b/", "a/b/", "a/b")]
)
def test_folders_end_with_a_slash_and_files_do_not(key, folder, file):
    assert (as_folder(key), as_file(key)) == (folder, file)


@pytest.mark.parametrize(
    ("place", "name", "folder", "child"),
    [
        (Remote("b", "x/y"), "y", "obs://b/x/y/", "obs://b/x/y/z"),
        (Remote("b", "x/"), "x", "obs://b/x/", "obs://b/x/z"),
        (Remote("b", "", "s3"), "", "s3://b/", "s3://b/z"),
    ],
)
def test_places_around_a_place(place, name, folder, child):
    assert (place.name, str(place.folder()), str(place.child("z"))) == (name, folder, child)
