"""Pages of a listing, read by one regular expression where their form is usual, mean what an XML parser reads in them.

The forms are those of Amazon's API reference (ListObjectsV2, "Sample Response"), of MinIO and of OBS ("Listing Objects in a
Bucket", sample response).
"""

from __future__ import annotations

import random
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest

from mindlift.storage.s3 import listing
from mindlift.storage.s3.listing import page_of, parse_page, usual_page

AMAZON = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix/><KeyCount>205</KeyCount>
<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>%s</ListBucketResult>"""
ITEMS = {
    "Amazon": "<Contents><Key>{}</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>"
    "<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size><StorageClass>STANDARD</StorageClass></Contents>",
    "Amazon, with a checksum": "<Contents><Key>{}</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>"
    "<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
    "<ChecksumType>FULL_OBJECT</ChecksumType><Size>434234</Size><StorageClass>STANDARD</StorageClass></Contents>",
    "MinIO": "<Contents><Key>{}</Key><LastModified>2026-11-29T04:09:50.123Z</LastModified>"
    "<ETag>&#34;153d5e09c3847b06cacbe4679e9310cf&#34;</ETag><Size>112640</Size><Owner><ID></ID><DisplayName></DisplayName>"
    "</Owner><StorageClass>STANDARD</StorageClass></Contents>",
    "OBS": "<Contents><Key>{}</Key><LastModified>2015-07-01T02:11:19.775Z</LastModified>"
    '<ETag>"a72e382246ac83e86bd203389849e71d"</ETag><Size>9</Size><Owner><ID>b4bf1b36d9ca43d984fbcb9491b6fce9</ID></Owner>'
    "<StorageClass>STANDARD</StorageClass></Contents>",
}
KEYS = [
    "a",
    "a b",
    "a&b",
    "a&copy;b",
    "<x>",
    '"q"',
    "数据",
    "\U0001f600",
    "caf\u00e9",
    "a'b",
    "a>b",
    "a\nb",
    "a\x85b",
    "]]>",
]


@pytest.mark.parametrize("keys", [KEYS, KEYS[:1]])
@pytest.mark.parametrize("form", ITEMS)
def test_usual_pages(form, keys):
    body = (AMAZON % "".join(ITEMS[form].format(escape(key)) for key in keys)).encode()
    found = usual_page(body)
    assert found == page_of(ElementTree.fromstring(body))
    assert [entry.key for entry in found.entries] == keys
    assert found.entries[0].etag.isalnum()


def test_keys_that_are_encoded_once_more():
    body = (
        AMAZON % ("<EncodingType>url</EncodingType>" + ITEMS["MinIO"].format("a%2Bb+c%26/%E6%95%B0"))
    ).encode()
    assert [entry.key for entry in usual_page(body).entries] == ["a+b c&/数"]
    assert usual_page(body) == page_of(ElementTree.fromstring(body))


UNUSUAL = {
    "folders": "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>" + ITEMS["MinIO"].format("b"),
    "nothing": "",
    "another order": "<Contents><Size>1</Size><Key>a</Key></Contents>",
    "one of another order": ITEMS["MinIO"].format("a") + "<Contents><Size>1</Size><Key>b</Key></Contents>",
    "an attribute": ITEMS["MinIO"].format("a") + '<Contents x="y"><Key>b</Key></Contents>',
    "a comment": ITEMS["MinIO"].format("a<!-- b -->"),
    "CDATA": ITEMS["MinIO"].format("<![CDATA[a&b]]>"),
    "a number that HTML reads otherwise": ITEMS["MinIO"].format("&#128;"),
    "a name of HTML": ITEMS["MinIO"].format("&copy;"),
    "a bare ampersand": ITEMS["MinIO"].format("a&b"),
    "a control character": ITEMS["MinIO"].format("a\x01"),
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_other_pages_are_the_parsers(what):
    body = (AMAZON % UNUSUAL[what]).encode()
    assert usual_page(body) is None


@pytest.mark.parametrize("seed", range(200))
def test_pages_by_chance(seed):
    """Whatever is cut out, doubled or put in: what the expression reads is what the parser reads."""
    rng = random.Random(seed)
    text = AMAZON % "".join(ITEMS[rng.choice(list(ITEMS))].format(escape(rng.choice(KEYS))) for _ in range(5))
    for _ in range(rng.randint(0, 3)):
        at, end = sorted(rng.sample(range(len(text)), 2))
        end = min(end, at + rng.randint(0, 60))
        text = text[:at] + rng.choice(["", text[at:end] * 2, "&", "<", "&#65;", "<x>", " ", "]"]) + text[end:]
    body = text.encode()
    found = usual_page(body)
    if found is None:
        return
    try:
        expected = page_of(ElementTree.fromstring(body))
    except (ElementTree.ParseError, ValueError):
        return  # what is around the files may be no XML; the files are whole
    assert found == expected


def test_an_endless_key_is_refused_in_both():
    for form in (ITEMS["MinIO"], "<Contents><Size>1</Size><Key>{}</Key></Contents>"):
        with pytest.raises(OSError, match="no key of S3 has more"):
            parse_page("list", (AMAZON % form.format("x" * (listing.limits.KEY_BYTES + 1))).encode())
