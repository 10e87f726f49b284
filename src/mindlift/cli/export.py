"""Export a trained network: `python export.py --help` lists the options."""

from __future__ import annotations

from mindlift.cli.words import words


def export(argv: list[str]) -> None:
    from mindlift.api import inference_job, job

    here = inference_job.start(job.read(argv, "export.py"), "export.py")
    checkpoint = here.weights().files[0]
    here.connect()
    from mindlift.inference import export as exporter

    exporter.run(here.cfg, checkpoint, inference_job.class_names(here.cfg))


def main(argv: list[str] | None = None) -> int:
    from mindlift.cli import program

    arguments = words(argv)
    return program.main(lambda: export(arguments), debug=program.wants_debug(arguments))
