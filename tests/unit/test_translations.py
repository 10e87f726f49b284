"""The Chinese catalogue: complete, current, and with the same places, options and addresses as the source."""

from __future__ import annotations

import gettext
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest

from mindlift import language
from mindlift.language import LEAST_LETTERS, PLACE, Catalogue, filled
from tests.support import chinese_page, translations

TOKEN = re.compile(
    r"--[a-z]\w+|`[^`]+`|(?:obs|s3|https?)://[\w./{}-]*|docs/\w+\.md|\b\w+\.(?:py|yaml|sh)\b|\b[A-Z]\w*_\w+"
)
PLURAL = re.compile(r"'s'|\"s\"|'es'")
HAN = re.compile(r"[\u4e00-\u9fff]")
TEXTS = translations.texts()
KNOWN = translations.read()


def test_every_text_of_the_source_is_translated():
    assert translations.missing() == [], "python -m tests.support.translations --missing lists them"


def test_what_is_raised_is_a_text_whatever_it_looks_like():
    """Placeholders in angle brackets, and NAME=value, are code elsewhere."""
    catalogue = Catalogue(language.read(language.CATALOGUE.read_bytes()))
    for text in (
        "photos has neither class folders (photos/<class>/<image>.jpg) nor CIFAR's data_batch_*.bin; name the folder that"
        " holds the images, or for labels of pixels --dataset voc",
        "RANK_ID=9 is not in RANK_TABLE_FILE=table.json (ranks 0 to 7)",
    ):
        assert language.HAN.search(catalogue.localized(text)), text


def test_the_catalogue_has_nothing_that_the_source_does_not_say():
    assert sorted(KNOWN) == sorted(TEXTS), "make translations"


def test_what_is_no_text_is_in_the_source():
    """A line of no_texts.txt that nothing says hides a text to come."""
    listed = translations.NO_TEXTS.read_text("utf-8").splitlines()
    assert listed == sorted(set(listed))
    assert set(listed) <= set(translations.all_texts())


def test_the_compiled_catalogue_is_current():
    assert translations.COMPILED.read_bytes() == translations.as_mo(KNOWN), "make translations"


def test_the_chinese_page_is_current():
    assert chinese_page.CHINESE_PAGE.read_text("utf-8") == chinese_page.page(KNOWN), "make translations"


def test_pythons_gettext_reads_it_as_we_do():
    with open(translations.COMPILED, "rb") as file:
        theirs = gettext.GNUTranslations(file)
    assert language.read(translations.COMPILED.read_bytes()) == {
        msgid: theirs.gettext(msgid) for msgid, text in KNOWN.items() if text
    }


def test_gnu_gettext_compiles_the_same(tmp_path):
    if not shutil.which("msgfmt"):
        pytest.skip("no msgfmt on PATH (Debian: apt install gettext)")
    made = tmp_path / "made.mo"
    subprocess.run(["msgfmt", "-o", made, translations.CATALOGUE], check=True)
    assert language.read(made.read_bytes()) == language.read(translations.COMPILED.read_bytes())


def test_the_places_are_those_of_the_source():
    """All of them, each as often; but the s of a plural, which Chinese has not."""
    wrong = []
    for msgid, text in TEXTS.items():
        left_out = Counter(PLACE.findall(msgid)) - Counter(PLACE.findall(KNOWN[msgid]))
        added = Counter(PLACE.findall(KNOWN[msgid])) - Counter(PLACE.findall(msgid))
        if added or any(not PLURAL.search(text.filled[int(at)]) for at in left_out):
            wrong.append(msgid)
    assert wrong == []


def test_options_commands_and_addresses_stay_as_they_are():
    wrong = {}
    for msgid, text in KNOWN.items():
        ours, theirs = ({token.rstrip(".") for token in TOKEN.findall(each)} for each in (msgid, text))
        if {each for each in ours ^ theirs if "image label" not in each and "图片" not in each}:
            wrong[msgid] = ours ^ theirs
    assert wrong == {}


def test_sentences_are_in_chinese():
    """Four words in a row that are still English are left over; names and commands are not so long."""
    english = re.compile(r"(?:\b[a-z]{2,} ){3}[a-z]{2,}")
    commands = re.compile(
        r"`[^`]*`|'[^']*'|(?:mindlift|python|pip|make|export|train\.py|wandb)[\w ./:=-]*|--\S+"
    )
    assert [text for text in KNOWN.values() if english.search(commands.sub("", text))] == []


def test_each_text_is_known_again_when_it_is_filled():
    """No other template takes it, and its values arrive where they belong."""
    catalogue = Catalogue(KNOWN)
    wrong = [
        msgid
        for msgid, values in samples("w{}")
        if catalogue.localized(filled(msgid, values)) != filled(KNOWN[msgid], values)
    ]
    assert wrong == []


def test_values_with_spaces_are_not_taken_apart():
    """Where it can't be told which words are whose, the text stays in English."""
    catalogue = Catalogue(KNOWN)
    found = {
        msgid: (values, catalogue.localized(filled(msgid, values)))
        for msgid, values in samples("/a b/{}.txt")
    }
    assert [
        msgid for msgid, (values, told) in found.items() if not all(value in told for value in values)
    ] == []
    english = [msgid for msgid, (values, told) in found.items() if told != filled(KNOWN[msgid], values)]
    assert len(english) < len(found) / 100


def samples(filler: str) -> Iterator[tuple[str, list[str]]]:
    """The msgids that can be known by their letters, and values for their places."""
    for msgid in KNOWN:
        if " " in msgid.strip() and sum(map(str.isalpha, PLACE.sub("", msgid))) >= LEAST_LETTERS:
            values = [filler.format(at) for at in range(len(set(PLACE.findall(msgid))))]
            plurals = set(PLACE.findall(msgid)) - set(PLACE.findall(KNOWN[msgid]))
            for at in {*re.findall(r"\}\{(\d+)\}", msgid), *plurals}:
                values[int(at)] = ""  # what is added to a text, and often is not there
            yield msgid, values
