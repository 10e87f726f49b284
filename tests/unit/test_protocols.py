"""The modules that are found by their folders have what their protocols say; mypy compares the types too."""

from __future__ import annotations

import pytest

from mindlift import models
from tests.support.programs import ROOT

FAMILIES = sorted(path.parent.name for path in models.HERE.glob("*/network.py"))


def test_every_family_is_one_to_mypy(tmp_path, monkeypatch):
    api = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(ROOT / "src"))
    lines = ["from mindlift.models import Family", "from mindlift.models.weights.layouts import WeightMap"]
    for name in FAMILIES:
        lines += [f"from mindlift.models.{name} import network as {name}_network"]
        lines += [f"from mindlift.models.{name} import weights as {name}_weights"]
        lines += [f"{name}_family: Family = {name}_network", f"{name}_map: WeightMap = {name}_weights"]
    broken = ["from mindlift import files", "no_family: Family = files", "no_map: WeightMap = files"]
    (tmp_path / "use.py").write_text("\n".join([*lines, *broken]) + "\n")
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
    said, _, _ = api.run([*settings, "--follow-imports", "silent", str(tmp_path / "use.py")])
    found = [line.split(":")[1] for line in said.splitlines() if "use.py" in line and ": error:" in line]
    assert found == [str(len(lines) + 2), str(len(lines) + 3)], said
