"""Options from a yaml file, over which the command line goes: evaluated at the import, as in the model zoo."""

import argparse
import ast
import os

import yaml


def get_config():
    first = argparse.ArgumentParser(add_help=False)
    here = os.path.dirname(os.path.abspath(__file__))
    first.add_argument("--config_path", default=os.path.join(here, "../../config/small.yaml"))
    path, _ = first.parse_known_args()
    with open(path.config_path) as file:
        defaults = yaml.safe_load(file)
    parser = argparse.ArgumentParser(parents=[first])
    for key, value in defaults.items():
        parser.add_argument(
            "--" + key, default=value, type=ast.literal_eval if isinstance(value, bool) else type(value)
        )
    return parser.parse_args()


config = get_config()
