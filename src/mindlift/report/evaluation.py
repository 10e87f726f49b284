"""What the newest evaluation of a run shows: mistakes, calibration, classes of a segmentation, overlays."""

from __future__ import annotations

from collections.abc import Sequence

from mindlift.json_text import Record
from mindlift.language import gettext
from mindlift.report import pictures
from mindlift.report.markup import Html, filled, section, tag
from mindlift.runs.folder import RunData
from mindlift.runs.series import number

PICTURES_BYTES = 800_000  # of all pictures of a page
MOST_CLASSES, MOST_CELLS = 200, 120_000
MOST_MISTAKES = 24
SIDE = 220  # units of the calibration's drawing


def confusions(runs: Sequence[RunData]) -> list[dict[str, object]]:
    """Confusion matrices for page.js, as long as there is room."""
    found, cells = [], 0
    for at, run in enumerate(runs):
        rows = run.evaluation.get("confusion")
        if rows is not None and is_matrix(rows) and cells + len(rows) ** 2 <= MOST_CELLS:
            cells += len(rows) ** 2
            found.append({"run": at, "classes": names(run, len(rows)), "rows": rows})
    return found


def is_matrix(rows: object) -> bool:
    return (
        isinstance(rows, list)
        and 0 < len(rows) <= MOST_CLASSES
        and all(isinstance(row, list) and len(row) == len(rows) for row in rows)
        and all(number(value) == number(value) for row in rows for value in row)
    )


def names(run: RunData, count: int) -> list[str]:
    given = run.evaluation.get("classes")
    known = [str(each) for each in given] if isinstance(given, list) else []
    return [known[at] if at < len(known) else str(at) for at in range(count)]


def confusion(at: int, found: Sequence[dict[str, object]]) -> Html:
    """The place where page.js draws the matrix of run `at`."""
    place = next((number for number, each in enumerate(found) if each["run"] == at), None)
    if place is None:
        return Html("")
    canvas = tag("canvas", role="img", aria_label=gettext("Confusion matrix"))
    drawing = tag(
        "div",
        canvas,
        tag("p", gettext("rows: truth, columns: prediction"), cls="note readout"),
        cls="confusion",
        data_number=place,
    )
    return section(gettext("Confusion matrix"), drawing)


def calibration(run: RunData) -> Html:
    """Accuracy over confidence; bars below the diagonal are answers that were too sure."""
    found = run.evaluation.get("calibration")
    if not isinstance(found, dict):
        return Html("")
    bins = [each for each in found.get("bins") or [] if is_bin(each)]
    if not bins:
        return Html("")
    most = max(each["count"] for each in bins)
    drawn = [bin_drawn(each, most) for each in bins if each["count"]]
    diagonal = tag("line", x1=0, y1=SIDE, x2=SIDE, y2=0, cls="diagonal")
    frame = tag("rect", x=0, y=0, width=SIDE, height=SIDE, cls="frame")
    words = [
        tag("text", "0", x=0, y=SIDE + 16),
        tag("text", gettext("confidence"), x=SIDE / 2, y=SIDE + 16, text_anchor="middle"),
        tag("text", "1", x=SIDE, y=SIDE + 16, text_anchor="end"),
        tag("text", "1", x=-6, y=10, text_anchor="end"),
        tag(
            "text",
            gettext("accuracy"),
            x=0,
            y=0,
            transform=f"translate(-8 {SIDE / 2}) rotate(-90)",
            text_anchor="middle",
        ),
    ]
    picture = tag(
        "svg", frame, *drawn, diagonal, *words, viewBox=f"-26 -6 {SIDE + 34} {SIDE + 28}", cls="calibration"
    )
    ece = number(found.get("ece"))
    note = gettext("Expected calibration error {0}.", f"{ece:.4f}") + " " if ece == ece else ""
    return section(
        gettext("Calibration"),
        picture,
        note=note + gettext("Bars below the diagonal: surer than right. Faint bars are rare."),
    )


def is_bin(each: object) -> bool:
    keys = ("low", "high", "count", "confidence", "accuracy")
    return (
        isinstance(each, dict)
        and all(number(each.get(key)) == number(each.get(key)) or not each.get("count") for key in keys)
        and isinstance(each.get("count"), int)
    )


def bin_drawn(each: Record, most: int) -> Html:
    left, width, height = SIDE * each["low"], SIDE * (each["high"] - each["low"]), SIDE * each["accuracy"]
    told = gettext(
        "confidence {0}, accuracy {1}, {2} images",
        f"{each['confidence']:.3f}",
        f"{each['accuracy']:.3f}",
        f"{each['count']:,}",
    )
    opacity = 0.35 + 0.65 * (each["count"] / most) ** 0.5
    return tag(
        "rect",
        tag("title", told),
        x=f"{left + 1:.1f}",
        y=f"{SIDE - height:.1f}",
        width=f"{max(1, width - 2):.1f}",
        height=f"{height:.1f}",
        opacity=f"{opacity:.2f}",
        cls="bin",
    )


def mistakes(run: RunData, room: int) -> tuple[Html, int]:
    """The most confident wrong answers as pictures, and the bytes that they take."""
    cards, used = [], 0
    given = run.evaluation.get("mistakes")
    for each in given[:MOST_MISTAKES] if isinstance(given, list) else []:
        path = pictures.inside(run.root, each.get("file")) if isinstance(each, dict) else None
        url = pictures.thumbnail(path) if path else ""
        if not url or used + len(url) > room:
            continue
        used += len(url)
        confidence = number(each.get("confidence"))
        sure = f" ({100 * confidence:.1f} %)" if confidence == confidence else ""
        words = tag(
            "figcaption",
            tag("b", each.get("predicted"), sure),
            tag("span", gettext("is {0}", each.get("truth"))),
        )
        image = tag("img", src=url, alt="", title=each.get("name"), loading="lazy")
        cards.append(tag("figure", image, words))
    if not cards:
        return Html(""), 0
    return section(gettext("Most confident mistakes"), tag("div", *cards, cls="mistakes")), used


def overlays(run: RunData, room: int) -> Html:
    path = pictures.inside(run.root, run.evaluation.get("overlays"))
    url = pictures.fitted(path, room) if path else ""
    image = tag("img", src=url, alt=gettext("Images, truths and predictions"), cls="overlays", loading="lazy")
    return section(gettext("Images, truths and predictions"), image) if url else Html("")


def of_classes(run: RunData, field: str, figure: str) -> dict[str, float | None]:
    """What the newest evaluation, that of averaged weights first, says of each class: `field` of evaluation.json, else
    per_class of an evaluation with this `figure`.
    """
    given = run.evaluation.get(field)
    if isinstance(given, list):
        return dict(zip(names(run, len(given)), map(share, given)))
    for each in sorted(
        run.metrics.evaluations, key=lambda each: (each["step"], each.get("which") == "average"), reverse=True
    ):
        if figure in each and isinstance(each.get("per_class"), dict):
            return {str(name): share(value) for name, value in each["per_class"].items()}
    return {}


def share(value: object) -> float | None:
    found = number(value)
    return found if found == found else None


def iou_bars(runs: Sequence[RunData]) -> Html:
    return class_bars(gettext("IoU of the classes"), [of_classes(run, "ious", "miou") for run in runs])


def precision_bars(runs: Sequence[RunData]) -> Html:
    found = [of_classes(run, "average_precisions", "map") for run in runs]
    return class_bars(gettext("Average precision of the labels"), found)


def class_bars(title: str, known: Sequence[dict[str, float | None]]) -> Html:
    """A row for each class with a bar for each run."""
    classes = dict.fromkeys(name for each in known for name in each)
    rows = [
        tag(
            "div",
            tag("span", name, cls="name", title=name),
            tag("div", *(iou_bar(at, each.get(name)) for at, each in enumerate(known) if each), cls="values"),
            cls="iou",
        )
        for name in classes
    ]
    return section(title, tag("div", *rows, cls="ious")) if rows else Html("")


def iou_bar(at: int, value: float | None) -> Html:
    told = "–" if value is None else f"{value:.3f}"
    track = tag("span", filled(value or 0.0, f"c{at % 8}"), cls="track")
    return tag("div", track, tag("span", told, cls="value"), cls="row")
