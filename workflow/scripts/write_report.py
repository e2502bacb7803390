"""Write the report: the page, its body for Snakemake's own report, and the answer's counts."""

from pathlib import Path

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.evaluation.scoring import Scoring
    from langneurons.files import write_atomically
    from langneurons.report import page as report
    from langneurons.report.answer import Question, counts
    from langneurons.report.findings import Rendered, read_tsv

    p, inputs = snakemake.params, snakemake.input
    sources = Path(snakemake.scriptdir).parent / "report"
    tables = {
        name: Rendered(kind, path, scoring and Scoring.of(scoring))
        for (name, (kind, scoring)), path in zip(p.tables.items(), inputs.tables, strict=True)
    }
    drawn = iter(inputs.figures)
    figures = {kind: [(label, next(drawn)) for label in p.labels] for kind in p.kinds}
    questions = [
        Question(kind, Scoring.of(scoring), margin, read_tsv(path))
        for (kind, scoring, margin), path in zip(p.questions.values(), inputs.comparisons, strict=True)
    ]
    body = report.report_body(questions, tables, figures, sources, p.miniature, 1 - p.level)
    report.write_answer(counts(questions), snakemake.output.answer)
    for path, text in ((snakemake.output.body, body), (snakemake.output.page, report.report_page(body, sources))):
        with write_atomically(path) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")
