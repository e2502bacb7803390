# The report: one page that opens with the question and the answer, and needs nothing outside it.
# Snakemake's own (`snakemake --report results/report.html`) opens with the same.

REPORT_SOURCES = ["body.html.jinja2", "page.html.jinja2", "style.css", "table.rst"]
REPORT_SOURCES += [f"{kind}.rst" for kind in published.FIGURE_KINDS]


report: "../report/workflow.rst"


rule write_report:
    input:
        tables=[paths.table(name, "tsv") for name in published.report_tables(settings)],
        comparisons=[paths.comparisons(question) for question in published.report_questions(settings)],
        printed=[paths.table(name, "md") for name in published.report_tables(settings)],
        figures=[
            paths.figure(kind, model, method, "svg")
            for kind in published.FIGURE_KINDS
            for model, method in published.drawn_pairs(settings)
        ],
    output:
        page=paths.report("index.html"),
        body=paths.report("body.html"),
        answer=report(paths.report("answer.tsv"), category="Answer"),
    log:
        paths.log("write_report"),
    conda:
        "../../environment.yml"
    params:
        version=version_of("write_report"),
        entries=entry_versions(published.report_entries),
        sources=lambda wildcards: content(f"{workflow.basedir}/workflow/report/{name}" for name in REPORT_SOURCES),
        tables=published.report_tables(settings),
        questions=published.report_questions(settings),
        level=settings.significance.level,
        kinds=published.FIGURE_KINDS,
        labels=[f"{settings.models[model].title}, {method}" for model, method in published.drawn_pairs(settings)],
        miniature=any(settings.models[model].source == "demo" for model in settings.run.models),
    message:
        "The report"
    script:
        "../scripts/write_report.py"


localrules:
    write_report,
