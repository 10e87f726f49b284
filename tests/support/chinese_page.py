"""docs/troubleshooting_CN.md: each message in Chinese beside its English text, which docs/troubleshooting.md explains.

`python -m tests.support.translations` writes it, after `python -m tests.support.messages` has written the English page.
"""

from __future__ import annotations

import re

from mindlift.language import PLACE
from tests.support import messages
from tests.support.messages import BEGINS, OWN, PAGE, ROOT, group_of, is_searchable, pattern, tidy

CHINESE_PAGE = ROOT / "docs/troubleshooting_CN.md"
MOST = 4  # messages of one row
GROUPS = {
    "Options, recipes and files that a command names": "选项、配方与命令中的文件",
    "Images, labels and classes": "图片、标签与类别",
    "Weights, checkpoints and runs": "权重、检查点与训练",
    "Ranks, devices and the training": "进程、设备与训练过程",
    "Export, prediction, evaluation": "导出、预测、评估",
    "Buckets and copies": "桶与拷贝",
    "Jobs": "作业",
    "`mindlift run`": "`mindlift run`",
    "Reports": "报告",
    "The doctor, and the check of a card": "环境自检与上卡检查",
    "Anything": "其他",
}
HEAD = """# 按报错文字排查问题

[English](troubleshooting.md) | 中文

程序的语言由环境变量 `MINDLIFT_LANG` 决定（`zh` 或 `en`）；没有设置时按系统的区域设置（`LC_ALL`、`LC_MESSAGES`、`LANG`）。
训练目录里的日志文件、JSON 和作业的日志始终是英文，便于搜索；`--debug` 显示的调用栈里也有英文原文。

在本页搜索中文报错里不变的部分（`…` 代表会变的内容），右边是对应的英文。原因和办法见英文页
[troubleshooting.md](troubleshooting.md)，用英文文字搜索即可。下面第一张表里的每一条，英文页都有原因和办法；其余各条的文字本身就说明了怎么做。
先试两条命令，多数原因它们自己就能找出来：`mindlift doctor`（这台机器能否训练）和 `mindlift selfcheck --provider modelarts`（这个账号能否提交作业）。

退出码 2 表示请求有误，1 表示机器、网络或其他进程出错，130 是 Ctrl-C，128 + n 是被信号 n 结束。
本页由 `make translations` 从源代码和译文生成。
"""


def page(known: dict[str, str]) -> str:
    """The whole page by the translations `known`."""
    told = {shown(msgid): shown(text) for msgid, text in known.items() if text}
    said = {text: group_of(name) for name, texts in messages.of_project().items() for text in texts}
    found = {text: told[text] for text in said if text in told}
    lines, explained = rows_of(found)
    parts = [HEAD, "## 有原因和办法的\n", table(lines)]
    for title, chinese in GROUPS.items():
        rest = sorted((found[text], text) for text in found.keys() - explained if said[text] == title)
        if rest:
            parts += [f"## {chinese}\n", table(rest)]
    return "\n".join(parts)


def shown(text: str) -> str:
    """With … for its places, as the English page has it."""
    return tidy(PLACE.sub("…", text))


def rows_of(found: dict[str, str]) -> tuple[list[tuple[str, str]], set[str]]:
    """(Chinese, the text of the row) of each row of the English page, and the messages that rows explain."""
    english = PAGE.read_text("utf-8").partition(OWN)[2].partition(BEGINS)[0]
    lines: list[tuple[str, str]] = []
    explained: set[str] = set()
    for row in re.findall(r"^\| (`[^|]+`)", english, re.MULTILINE):
        for text in re.findall(r"`([^`]+)`", row):
            fits = [each for each in found if is_searchable(text) and pattern(text).search(each)]
            explained.update(fits)
            lines += [(found[each], text) for each in sorted(fits, key=len)[:MOST]]
    return list(dict.fromkeys(lines)), explained


def table(rows: list[tuple[str, str]]) -> str:
    cells = [" | ".join(f"``{each}``" if "`" in each else f"`{each}`" for each in row) for row in rows]
    return "\n".join(["| 中文 | 英文 |", "|---|---|", *(f"| {row} |" for row in cells), ""])
