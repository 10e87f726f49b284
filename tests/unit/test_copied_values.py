"""Values as people copy them: keys with line ends, seeds of dates, words that YAML would change."""

import pytest

from mindlift.cloud import job_file as jobs
from mindlift.cloud.errors import JobError
from mindlift.cloud.providers.modelarts import keys as modelarts
from mindlift.cloud.providers.openi.rest import read_token
from mindlift.errors import ConfigError
from mindlift.model_utils.config import config
from mindlift.storage import settings

KEYS = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SECURITY_TOKEN")
READERS = {
    "store": (KEYS, lambda env: settings.read_keys(env, {})),
    "obs": ([f"OBS_{name}" for name in KEYS], lambda env: settings.read_keys(env, {})),
    "modelarts": ((modelarts.AK, modelarts.SK, modelarts.TOKEN), modelarts.read_keys),
}
ENDS = {"carriage return": "\r", "line": "\r\n", "blank": " ", "tab": "\t", "no-break space": "\xa0"}
INSIDE = {"line": "PART\nREST", "blank": "PART REST", "letter": "PART\u4e2dREST", "quote": "PART\u201dREST"}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("reader", READERS)
def test_what_stands_around_a_key_is_no_part_of_it(reader, end):
    names, read = READERS[reader]
    found = read({name: f"{end}v{number}{end}" for number, name in enumerate(names)})
    assert (found.access_key, found.secret_key, found.token) == ("v0", "v1", "v2")


@pytest.mark.parametrize("text", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("wrong", range(3))
@pytest.mark.parametrize("reader", READERS)
def test_what_no_header_holds_is_refused_by_name_alone(reader, wrong, text):
    names, read = READERS[reader]
    env = {**dict.fromkeys(names, "good"), names[wrong]: text}
    with pytest.raises(ConfigError, match=names[wrong]) as caught:
        read(env)
    assert "PART" not in str(caught.value)
    assert "REST" not in str(caught.value)


def test_keys_of_a_file_and_of_set_auth(tmp_path):
    path = tmp_path / "profiles"
    path.write_text("[default]\nak = PART REST\nsk = s\n")
    with pytest.raises(ConfigError, match="ak of .*profiles") as caught:
        settings.read_keys({"CREDENTIAL_PROFILES_FILE": str(path)}, {})
    assert "PART" not in str(caught.value)
    assert settings.read_keys({}, {"ak": "a\r", "sk": "s\n"}) == settings.Keys("a", "s", "", "set_auth")


def test_a_variable_of_blanks_is_not_set(tmp_path):
    with pytest.raises(ConfigError, match="SECRET_ACCESS_KEY is not set"):
        settings.read_keys({"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "\r"}, {})


def test_a_token_of_openi(tmp_path):
    assert read_token({"OPENI_TOKEN": "t\r\n", "HOME": str(tmp_path)})[0] == "t"
    with pytest.raises(ConfigError, match="OPENI_TOKEN") as caught:
        read_token({"OPENI_TOKEN": "PART REST", "HOME": str(tmp_path)})
    assert "PART" not in str(caught.value)


def test_an_endpoint_with_a_line_end():
    assert settings.read_settings({"S3_ENDPOINT": "http://h:9000\r"}, {}).endpoint == "http://h:9000"


WORDS = ("on", "1.50", "null", "~", "0x10", "2024-01-01", "12:30:00", "yes", "1e3", "007", "'a b'")


@pytest.mark.parametrize("word", WORDS)
def test_variables_of_a_job_are_texts(tmp_path, word):
    path = tmp_path / "job.yaml"
    path.write_text(f"environment: {{A: {word}}}\n")
    assert jobs.read(str(path), {}, "now").environment == {"A": word.strip("'")}
    assert jobs.read("", {"environment": [f"A={word}"]}, "now").environment == {"A": word}


@pytest.mark.parametrize("value", ["[1, 2]", "{b: 1}"])
def test_a_variable_has_one_value(tmp_path, value):
    path = tmp_path / "job.yaml"
    path.write_text(f"environment: {{A: {value}}}\n")
    with pytest.raises(JobError, match="'A' has to be one name with one value"):
        jobs.read(str(path), {}, "now")


@pytest.mark.parametrize("seed", ["4294967296", "1700000000000000000", "-1"])
def test_a_seed_that_numpy_refuses(seed):
    with pytest.raises(ConfigError, match=f"seed is '{seed}', but must be at"):
        config.load(["--net", "densenet22", "--seed", seed])
