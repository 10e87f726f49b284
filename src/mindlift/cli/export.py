"""Export a trained network: `python export.py --help` lists the options."""

from __future__ import annotations

from mindlift.cli import ending
from mindlift.cli.words import words


def export(argv: list[str]) -> None:
    from mindlift.api import inference_job, job

    here = inference_job.start(job.read(argv, "export.py"), "export.py")
    checkpoint = here.weights().files[0]
    here.connect()
    from mindlift.inference import export as exporter
    from mindlift.runs.provenance import MODEL_SUFFIX

    names = inference_job.class_names(here.cfg)
    with here.telling("exporting the network"):
        target = exporter.run(here.cfg, checkpoint, names)
    is_mindir = target.suffix == MODEL_SUFFIX
    weights = str(target) if is_mindir else here.cfg.pretrained or here.cfg.ckpt_path
    graph = ["mindlift", "report", weights, *(["--to", "tensorboard", "--out", "graph"] if is_mindir else [])]
    ending.following(["mindlift", "predict", weights, "IMAGES"], graph)


def main(argv: list[str] | None = None) -> int:
    from mindlift.cli import program

    arguments = words(argv)
    return program.main(lambda: export(arguments), debug=program.wants_debug(arguments))
