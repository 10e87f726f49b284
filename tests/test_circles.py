"""No circles of imports inside the packages that train and evaluate, counting those inside functions too."""

from __future__ import annotations

import graphlib

from tests.test_layering import PACKAGE, below, imports


def test_no_module_imports_itself_by_way_of_others():
    paths = below("data/", "models/", "tasks/", "training/", "inference/", "report/")
    modules = {
        "mindlift." + path.as_posix()[len(PACKAGE) : -len(".py")].replace("/", "."): path for path in paths
    }
    graph = {name: (imports(path) & modules.keys()) - {name} for name, path in modules.items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(modules) > 80
