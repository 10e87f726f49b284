"""The boundaries of docs/architecture.md, held by a machine."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Set
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RANK_VARIABLES = re.compile(
    r"\b(RANK_ID|RANK_SIZE|DEVICE_ID|RANK_TABLE_FILE|MS_ROLE|MS_WORKER_NUM|OMPI_COMM_WORLD\w*)\b"
)
RANK_READERS = (
    "src/mindlift/model_utils/device_adapter.py",
    "src/mindlift/model_utils/ranks.py",
    "src/mindlift/cloud/platforms/",
    "src/mindlift/cloud/providers/",
)
DEVICE_NAME = re.compile(r"cpu|gpu|(?:ascend)?(?:310|910)\w*|ascend|davinci\d*", re.IGNORECASE)
DEVICE_FILES = {"src/mindlift/model_utils/devices.py", "src/mindlift/model_utils/device_adapter.py"}
ENTRIES = ("train.py", "eval.py", "export.py", "predict.py")
PLATFORMS = ("base", "container", "modelarts_v1", "modelarts_v2", "openi_qizhi", "openi_c2net")
PURE = {
    "src/mindlift/runs/series.py",
    "src/mindlift/cloud/platforms/mapping.py",
    "src/mindlift/cloud/platforms/request.py",
    "src/mindlift/training/schedules.py",
    *(f"src/mindlift/report/{name}.py" for name in ("markup", "charts", "figures")),
    *(f"src/mindlift/ui/{name}.py" for name in ("address", "gate")),
    "src/mindlift/data/order.py",
    "src/mindlift/data/draws.py",
    "src/mindlift/model_utils/config/options.py",
    "src/mindlift/model_utils/config/declarations.py",
    "src/mindlift/model_utils/config/yaml_nodes.py",
    "src/mindlift/model_utils/inputs.py",
    "src/mindlift/models/weights/layouts.py",
    "src/mindlift/models/bit/weights.py",
    "src/mindlift/models/densenet/weights.py",
    "src/mindlift/models/resnet/weights.py",
    "src/mindlift/models/inception_v4/weights.py",
    "src/mindlift/models/weights/fit.py",
    "src/mindlift/models/weights/pickled.py",
    "src/mindlift/models/weights/stored.py",
    "src/mindlift/models/weights/vocabulary.py",
    "src/mindlift/model_utils/config/programs.py",
    "src/mindlift/storage/copying/plan.py",
    "src/mindlift/cloud/states.py",
    "src/mindlift/cloud/handle.py",
    *(f"src/mindlift/cloud/platforms/{name}.py" for name in PLATFORMS),
    *(
        f"src/mindlift/cloud/providers/{name}.py"
        for name in (
            "openi/codes",
            "openi/request",
            "openi/states",
            "modelarts/request",
            "modelarts/states",
            "modelarts/view",
        )
    ),
}
PACKAGE = "src/mindlift/"
MOST_LINES = 400  # of a file of tests; a longer one has more than one subject
# cloud/jobs/ holds other people's programs, and the style of some is what they are there for
SOURCES = sorted(
    p.relative_to(ROOT) for p in [*ROOT.glob("*.py"), *ROOT.glob("src/**/*.py"), *ROOT.glob("cloud/*.py")]
)


def below(*folders: str) -> list[Path]:
    """The files of some packages, of all of them with ''."""
    return [
        path for path in SOURCES if path.as_posix().startswith(tuple(PACKAGE + folder for folder in folders))
    ]


def imports(path: Path) -> set[str]:
    """Full names of all imported modules, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def uses(path: Path, *packages: str) -> set[str]:
    return {
        name
        for name in imports(path)
        for package in packages
        if name == package or name.startswith(package + ".")
    }


# Each package imports only from those on lines below its own, and from itself.
ORDER = (
    {"ascend_check", "__main__", "__init__"},
    {"cli"},
    {"ui"},
    {"api"},
    {"report"},
    {"training", "inference"},
    {"tasks", "cloud", "doctor"},
    {"data", "program"},
    {"model_utils"},
    {"runs"},
    {"models", "storage"},
    {"locks"},
    {"files", "interrupts", "forks", "garbage", "silence", "option_parser"},
    {"json_text", "yaml_text", "file_names", "refused_paths"},
    {"errors", "sanitize", "limits", "checkout", "backports", "language", "columns"},
)
PARSERS = {"json_text", "yaml_text", "boot_file", "enter"}  # the last two run without the package
CLOUD_REACHES = {"program", "model_utils", "runs", "storage"}  # it submits, and trains nothing


def package_of(module: str) -> str:
    """`mindlift.data.order` -> data; `mindlift` itself is __init__."""
    return [*module.split("."), "__init__"][1]


def level(package: str) -> int:
    return next(at for at, names in enumerate(ORDER) if package in names)


@functools.lru_cache(maxsize=None)
def reached(path: Path) -> set[str]:
    """Packages of ours that a file imports from, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mindlift":
            modules = (
                [f"mindlift.{alias.name}" for alias in node.names]
                if node.module == "mindlift"
                else [node.module]
            )
            found |= {
                package_of(str(module)) for module in modules if not str(module).endswith(".__version__")
            }
    return found


@pytest.mark.parametrize("path", [p for p in SOURCES if p.as_posix().startswith(PACKAGE)], ids=str)
def test_arrows_go_down(path):
    own = path.parts[2].removesuffix(".py")
    upwards = {name for name in reached(path) - {own} if level(name) <= level(own)}
    assert not upwards
    if own == "cloud":
        assert {name for name in reached(path) if level(name) < level("files")} <= CLOUD_REACHES | {"cloud"}


@pytest.mark.parametrize("path", below("model_utils/staging/"), ids=str)
def test_what_copies_whole_things_knows_nothing_of_streams(path):
    assert not uses(path, "mindlift.model_utils.streaming")


def module_name(path: Path) -> str:
    return ".".join(path.relative_to("src").with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path, known: Set[str]) -> set[str]:
    """Modules of ours that a file needs to run: also those that a function imports, not those of TYPE_CHECKING."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & known or {node.module}
    return (found & known) - {module_name(path)}


def cycles(graph: dict[str, set[str]]) -> list[str]:
    """The modules that are left when those that import none of the rest, or that none of the rest imports, are
    taken away again and again: those of cycles, and those on a way from one cycle to another."""
    rest = {name: set(found) for name, found in graph.items()}
    while True:
        imported = set().union(*rest.values()) if rest else set()
        idle = {name for name in rest if not rest[name] or name not in imported}
        if not idle:
            return sorted(rest)
        rest = {name: found - idle for name, found in rest.items() if name not in idle}


def test_no_module_imports_itself_by_way_of_others():
    paths = below("")
    known = {module_name(path) for path in paths}
    assert cycles({module_name(path): imported_modules(path, known) for path in paths}) == []


def test_what_is_a_cycle():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == ["b", "c"]


@pytest.mark.parametrize("path", below("models", "data", "tasks"), ids=str)
def test_networks_data_and_tasks_know_nothing_of_the_job(path):
    """Neither URLs nor environment variables; what reads the store is handed in."""
    assert not uses(
        path, "boto3", "socket", "urllib", "mindlift.model_utils.adapter", "mindlift.model_utils.ranks"
    )
    assert "environ" not in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [p for p in below("") if p.stem not in PARSERS], ids=str)
def test_json_and_yaml_are_parsed_in_one_place_each(path):
    """Where texts from outside are held to limits."""
    assert not re.search(
        r"\b(json\.loads?|yaml\.(safe_)?load|yaml\.compose)\(", (ROOT / path).read_text("utf-8")
    )


@pytest.mark.parametrize("path", below("storage"), ids=str)
def test_storage_stands_alone(path):
    assert {name for name in reached(path) if level(name) <= level("storage")} <= {"storage"}


@pytest.mark.parametrize("path", [p for p in below("") if "storage" not in p.parts], ids=str)
def test_only_storage_talks_to_stores(path):
    assert not uses(path, "boto3", "botocore")


@pytest.mark.parametrize("path", below("report", "ui", "cloud", "storage", "doctor", "program"), ids=str)
def test_what_runs_without_mindspore(path):
    """The graph of a model is read with mindspore's own protobuf, and the doctor's probe tries it."""
    assert path.name in ("graph.py", "probe.py") or not uses(path, "mindspore")


def test_mistakes_in_paths_are_found_before_numpy_is_imported():
    """NumPy's threads are counted when it is imported, and job.start sets their number."""
    code = "import sys; from mindlift.runs import choose; from mindlift.models.weights import forms; assert not {'numpy', 'mindspore'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_there_is_something_to_check():
    assert len(SOURCES) > 200
    assert below("models")


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_no_file_of_tests_is_long(folder):
    files = list((ROOT / folder).rglob("*.py"))
    assert len(files) > 5
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in files}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


@pytest.mark.parametrize("path", [p for p in SOURCES if not p.as_posix().startswith(RANK_READERS)], ids=str)
def test_only_the_device_adapter_reads_rank_variables(path):
    assert not RANK_VARIABLES.findall((ROOT / path).read_text(encoding="utf-8"))


def device_names(source: str) -> list[str]:
    """String literals that are the name of a device and nothing else."""
    literals = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return [text for text in literals if isinstance(text, str) and DEVICE_NAME.fullmatch(text)]


@pytest.mark.parametrize(
    "path", [p for p in below("") if p.as_posix() not in DEVICE_FILES and "cloud" not in p.parts], ids=str
)
def test_devices_are_asked_for_facts_and_not_for_their_names(path):
    assert device_names((ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('device == "Ascend"', ["Ascend"]),
        ('{"GPU": 1, "cpu": 2}', ["GPU", "cpu"]),
        ('chip in ("ascend910b", "910", "Ascend310P3")', ["ascend910b", "910", "Ascend310P3"]),
        ('"""On Ascend."""; print("--device_target CPU", "404")', []),
    ],
)
def test_what_is_the_name_of_a_device(source, names):
    assert device_names(source) == names


@pytest.mark.parametrize("path", sorted(PURE))
def test_pure_modules_do_no_io(path):
    assert not uses(Path(path), "os", "time", "pathlib", "random", "mindspore", "socket", "subprocess")
    assert "open(" not in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["prepare", "loop", "hooks", "run"])
def test_the_trainer_names_no_model(name):
    text = (ROOT / f"src/mindlift/training/{name}.py").read_text(encoding="utf-8").lower()
    assert not re.findall(r"densenet|resnet|inception|deeplab|\bbit\b|modelarts|openi", text)


@pytest.mark.parametrize("entry", ENTRIES)
def test_entry_files_are_tables_of_contents(entry):
    assert len((ROOT / entry).read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_importing_does_no_work(path):
    """At module level: no calls but to a short list of declarations."""
    allowed = {
        "Path",
        "compile",
        "frozenset",
        "NamedTuple",
        "dataclass",
        "MultitypeFuncGraph",
        "register",
        "Variant",
        "time",
        "split",
        "resolve",
        "leave",
        "exit",
        "main",
        "insert",
        "str",
        "Option",
        "WeakSet",
        "Operation",
        "fromkeys",
        "is_file",
        "fault",
        "list_of",
        "field",
        "fields",
        "Services",
        "Forks",
        "Arrivals",
        "Kernels",
        "TypeVar",
        "Code",
        "Call",
        "Route",
        "Look",
        "Wide",
        "passing",
        "N_",
        "Source",
        "Conventions",
        "ruled",
        "moved",
    }
    calls = calls_on_import(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    names = {
        call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        for call in calls
    }
    assert names <= allowed


def calls_on_import(node: ast.AST) -> list[ast.Call]:
    found = [node] if isinstance(node, ast.Call) else []
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            found += calls_on_import(child)
    return found


@pytest.mark.parametrize(
    "words", [[], *([name, "--help"] for name in ("convert", "train", "features", "report", "plan"))]
)
def test_help_of_the_command_imports_nothing_large(words):
    code = (
        f"import sys; from mindlift.cli.main import main\n"
        f"try: code = main({words!r})\n"
        "except SystemExit as end: code = end.code\n"
        "assert not code, code\n"
        "found = {'mindspore', 'numpy', 'boto3', 'requests'} & set(sys.modules); assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize("entry", ENTRIES)
def test_help_starts_without_mindspore(entry):
    code = (
        f"import sys, runpy; sys.argv = ['{entry}', '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'mindspore' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {entry} [--option value ...]")
