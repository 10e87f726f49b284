"""Options, parsed strictly when this module is imported."""

import argparse
import ast


def get_config():
    parser = argparse.ArgumentParser(description="default name", add_help=False)
    parser.add_argument("--enable_modelarts", type=ast.literal_eval, default=False)
    parser.add_argument("--run_distribute", type=ast.literal_eval, default=False)
    parser.add_argument("--device_target", type=str, default="Ascend")
    parser.add_argument("--data_url", type=str, default="")
    parser.add_argument("--train_url", type=str, default="")
    parser.add_argument("--data_path", type=str, default="/cache/data")
    parser.add_argument("--output_path", type=str, default="/cache/train")
    return parser.parse_args()


config = get_config()
