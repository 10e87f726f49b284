"""Write rank_table_8p.json for the cards of this server: python src/tools/get_multicards_json.py SERVER_IP"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mindlift.cli.local_paths import local_path
from mindlift.cli.rank_table import make_file
from mindlift.errors import MindLiftError
from mindlift.language import localized
from mindlift.option_parser import ArgumentParser


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("server_ip", help="IP of this server")
    parser.add_argument(
        "--hccn_conf", type=local_path, default=Path("/etc/hccn.conf"), help="where device IPs are read"
    )
    parser.add_argument("-o", "--output", type=local_path, default=Path("rank_table_8p.json"))
    args = parser.parse_args(argv)
    try:
        make_file(args.server_ip, None, args.hccn_conf, args.output)
    except MindLiftError as err:
        print(localized(f"get_multicards_json: {err}"), file=sys.stderr)
        return err.exit_code
    return 0
