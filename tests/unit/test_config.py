from __future__ import annotations

import pickle
import shutil

import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils.config import config
from mindlift.model_utils.config.recipes import recipes
from tests.support.programs import ROOT

SMALL = """
data:
  dataset: {value: cats, help: data set}
  image_size: {value: "32,32", type: size, help: height and width}
model:
  net: {value: tiny, help: network}
  pool: {value: avg, choices: [avg, max], help: pooling}
schedule:
  lr: {value: 0.1, min: 0, help: rate}
  epochs: {value: 3, min: 1, aliases: [epoch_size, max_epoch], help: epochs}
  lr_epochs: {value: "30,60", type: ints, help: drops}
  period: {value: null, type: int, help: period}
  smooth: {value: 0, type: bool, help: smoothing}
platform:
  config_path: {value: "", help: recipe}
  device_target: {value: auto, help: device}
  data_url: {value: "", platform: true, help: where data is}
  multi_data_url: {value: "", platform: true, help: JSON list}
"""


@pytest.fixture
def root(tmp_path):
    recipes = tmp_path / "src/mindlift/models/family/recipes"
    recipes.mkdir(parents=True)
    (tmp_path / "default_config.yaml").write_text(SMALL)
    (recipes / "tiny_cats.yaml").write_text("# header\nlr: 1e-4\nepochs: 7\n")
    (recipes / "tiny_dogs.yaml").write_text("net: tiny\ndataset: dogs\nlr_epochs: [5, 6]\n")
    (recipes / "huge_cats.yaml").write_text("net: huge\n")
    return tmp_path


def load(root, *argv, **options):
    return config.load(list(argv), root=root, **options)


def test_layers_and_their_origins(root):
    cfg = load(root, "--epochs", "9")
    assert (cfg.lr, cfg.epochs, cfg.pool) == (1e-4, 9, "avg")
    assert [cfg.origin(name) for name in ("lr", "epochs", "pool")] == [
        "tiny_cats.yaml",
        "command line",
        "default_config.yaml",
    ]


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--lr", "1"], "lr", 1.0),
        (["--lr=2e-3"], "lr", 0.002),
        (["--epoch_size", "5"], "epochs", 5),
        (["--max-epoch", "5"], "epochs", 5),
        (["--smooth"], "smooth", True),
        (["--smooth", "Yes"], "smooth", True),
        (["--smooth=OFF"], "smooth", False),
        (["--lr_epochs", "1,2"], "lr_epochs", (1, 2)),
        (["--lr_epochs", "[1, 2]"], "lr_epochs", (1, 2)),
        (["--lr_epochs", "1", "2"], "lr_epochs", (1, 2)),
        (["--lr_epochs", "1", "--lr_epochs", "2"], "lr_epochs", (1, 2)),
        (["--image_size", "224"], "image_size", (224, 224)),
        (["--image_size", "224x192"], "image_size", (224, 192)),
        (["--image_size", "224,192"], "image_size", (224, 192)),
        (["--period", "null"], "period", None),
        (["--period", "4"], "period", 4),
        (["--'data_url'='obs://b/d/'"], "data_url", "obs://b/d/"),
        (["--data_url="], "data_url", ""),
        (["--multi_data_url", '[{"a": "b"}]'], "multi_data_url", '[{"a": "b"}]'),
        (["--epochs", "5", "--epochs", "6"], "epochs", 6),
    ],
)
def test_spellings_on_the_command_line(root, argv, name, value):
    found = getattr(load(root, *argv), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--lr", "-0.1"], "command line: lr is '-0.1', but must be at least 0"),
        (["--lr", "fast"], "command line: lr is 'fast', but must be a number"),
        (["--lr", "nan"], "lr is 'nan', but must be a number"),
        (["--lr", "null"], "lr is 'null', but must be a number"),
        (["--epochs", "1.5"], "epochs is '1.5', but must be a whole number"),
        (["--epochs", "2.0"], "must be a whole number"),
        (["--epochs", "0"], "epochs is '0', but must be at least 1"),
        (["--smooth", "maybe"], "smooth is 'maybe', but must be true or false"),
        (["--pool", "mean"], "pool is 'mean'; choose one of avg, max"),
        (["--image_size", "big"], "image_size is 'big', but must be height,width such as 224,224"),
        (["--image_size", "1,2,3"], "image_size is '1,2,3', but must be height,width"),
        (["--image_size", "0"], "image_size is '0'"),
        (["--lr_epochs", "1,x"], "must be whole numbers such as 30,60,90"),
        (["--lr"], "--lr needs a value"),
        (["--lr", "1", "2"], "--lr takes one value, got 1 2"),
        (["--epoch", "3"], r"unknown option '--epoch'; did you mean '--epochs'"),
        (["epochs=3"], "'epochs=3' is no option"),
        (
            ["--epochs", "3", "--max_epoch", "4"],
            "'epochs' and 'max_epoch' are one option but differ: '3', '4'",
        ),
        (["--net", "tinny"], r"unknown net 'tinny'; did you mean 'tiny'\?; known: huge, tiny"),
        (
            ["--net", "huge", "--dataset", "dogs"],
            "no recipe for net 'huge' on dataset 'dogs'; there is --dataset cats",
        ),
        (["--config_path", "nowhere.yaml"], "can't read configuration nowhere.yaml: No such file"),
    ],
)
def test_bad_command_lines_are_one_clear_line(root, argv, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(root, *argv)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: 0.1\nbatchsize: 3\n", "r.yaml:2: unknown option 'batchsize'"),
        ("lr: 0.1\nepoch: 3\n", "r.yaml:2: unknown option 'epoch'; did you mean 'epochs'"),
        ("lr: true\n", "r.yaml:1: lr is True, but must be a number"),
        ("\nepochs: 1.5\n", "r.yaml:2: epochs is 1.5, but must be a whole number"),
        ("epochs: true\n", "r.yaml:1: epochs is True, but must be a whole number"),
        ("net: 5\n", "r.yaml:1: net is 5, but must be text"),
        ("lr: null\n", "r.yaml:1: lr is null, but must be a number"),
        ("lr: 0.1\nlr: 0.2\n", "r.yaml:2: 'lr' is given twice"),
        ("epochs: 1\nmax_epoch: 2\n", "r.yaml:2: 'epochs' and 'max_epoch' are one option but differ"),
        ("lr: [1\nnet: x\n", r"r.yaml:\d: not valid YAML"),
        ("lr: 0.1\n\tnet: x\n", "r.yaml:2: not valid YAML"),
        ("- lr\n", "r.yaml: expected lines 'option: value', found a sequence"),
        ("just text\n", "found a scalar"),
    ],
)
def test_bad_recipes_name_file_and_line(root, text, message):
    path = root / "r.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load(root, "--config_path", str(path))
    assert "\n" not in str(caught.value)


def test_binary_recipe_is_one_line(root):
    (root / "r.yaml").write_bytes(b"\xff\xfe\x00lr")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load(root, "--config_path", str(root / "r.yaml"))


def test_platform_arguments_are_taken_in_a_cloud_job(root, capsys):
    argv = ["--device_target", "CPU", "--data_url=s3:///b/d/", "--odd=1", "--device_target", "Ascend"]
    cfg = load(root, *argv, in_cloud=True)
    assert (cfg.device_target, cfg.data_url) == ("CPU", "s3:///b/d/"), "the user's, which stands first, stays"
    assert cfg.origin("data_url") == "platform"
    assert cfg.extra == ("--odd=1",)
    assert "ignored unknown arguments --odd=1" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="unknown option '--odd'"):
        load(root, *argv)


def test_frozen_comparable_picklable_and_replaceable(root):
    cfg = load(root)
    with pytest.raises(AttributeError, match="frozen"):
        cfg.lr = 3
    assert pickle.loads(pickle.dumps(cfg)) == cfg
    other = cfg.replace(lr=0.5)
    assert (other.lr, other.origin("lr"), cfg.lr) == (0.5, "replaced", 1e-4)
    assert other != cfg
    with pytest.raises(ConfigError, match="at least 0"):
        cfg.replace(lr=-1)
    with pytest.raises(AttributeError, match=r"no option 'epoch'; did you mean 'epochs'"):
        _ = cfg.epoch


def test_written_configuration_reads_back(root):
    cfg = load(root, "--lr_epochs", "4,5", "--data_url", "it's # odd", "--smooth")
    (root / "again.yaml").write_text(cfg.to_yaml(origins=True))
    again = load(root, "--config_path", str(root / "again.yaml"))
    assert again.replace(config_path="") == cfg
    assert again.origin("lr") == "again.yaml"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("x: {value: 1}", "'x' needs a mapping with value and help"),
        ("x: {value: 1, help: h, typ: int}", "unknown property 'typ'"),
        ("x: {value: a, help: h, type: int}", "x is 'a', but must be a whole number"),
        ("x: {value: c, help: h, choices: [a, b]}", "choose one of a, b"),
        ("x: {value: 1, help: h, aliases: [lr]}", "'lr' names both"),
        ("lr: {value: 1, help: h}", "option 'lr' is declared twice"),
        ("x: {value: 1, help: h, type: number}", "has type 'number'"),
        ("x: {value: a, help: h, spellings: b}", "expected lines 'option: value', found a scalar"),
    ],
)
def test_faults_of_the_declarations_are_found(root, entry, message):
    (root / "default_config.yaml").write_text(SMALL + f"more:\n  {entry}\n")
    with pytest.raises(ConfigError, match=message):
        load(root)


def test_help_shows_the_recipes_defaults(root, capsys):
    with pytest.raises(SystemExit) as end:
        load(root, "--dataset", "dogs", "--help")
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "drops [[5, 6]]" in out
    assert "also: --epoch_size, --max_epoch" in out
    assert [line for line in out.splitlines() if line.endswith(":")] == [
        "data:",
        "model:",
        "schedule:",
        "platform:",
        "examples:",
    ]


def test_print_config_shows_origins(root, capsys):
    with pytest.raises(SystemExit):
        load(root, "--print_config", "--lr", "3")
    assert "  lr: 3.0  # from command line" in capsys.readouterr().out


@pytest.mark.parametrize("recipe", sorted(recipes(ROOT).values()), ids=lambda path: path.stem)
def test_every_recipe_loads_and_names_itself(recipe):
    cfg = config.load(["--config_path", str(recipe)])
    assert f"{cfg.net}_{cfg.dataset}" == recipe.stem


def test_defaults_file_is_complete_without_the_repository(tmp_path):
    shutil.copy(ROOT / "default_config.yaml", tmp_path)
    with pytest.raises(ConfigError, match="unknown net 'densenet100'"):
        config.load([], root=tmp_path)


def size_of(*words: str, prog: str = "train.py") -> tuple:
    cfg = config.load(["--net", "densenet22", *words], prog=prog)
    return cfg.image_size, cfg.eval_image_size


def test_height_and_width_are_the_two_halves_of_image_size(tmp_path):
    assert size_of("--height", "12") == ((12, 8), None)
    assert size_of("--image_width", "16", "--image_height", "12") == ((12, 16), None)
    assert size_of("--image_size", "9,8", "--height", "9") == ((9, 8), None)
    with pytest.raises(ConfigError, match="--image_size 9,8 contradicts --height and --width"):
        size_of("--image_size", "9,8", "--height", "10")


def test_a_size_that_the_user_gives_is_also_the_evaluations(tmp_path):
    """A recipe may evaluate larger images than it trains with."""
    file = tmp_path / "r.yaml"
    file.write_text("net: densenet22\ndataset: digits\nimage_size: 8\neval_image_size: 12\n")
    recipe = ("--config_path", str(file))
    assert size_of(*recipe) == ((8, 8), (12, 12))
    assert size_of(*recipe, "--image_height", "8", "--image_width", "8") == (
        (8, 8),
        (12, 12),
    ), "the recipe's own"
    assert size_of(*recipe, "--height", "16") == ((16, 8), None)
    assert size_of(*recipe, "--image_size", "16") == ((16, 16), None)
    assert size_of(*recipe, "--image_size", "16", "--eval_image_size", "20") == ((16, 16), (20, 20))
