# Tables and figures.


rule render_table:
    input:
        unpack(of(published.table_input)),
    output:
        tsv=report(paths.table(ending="tsv"), caption="../report/table.rst", category="Tables"),
        md=paths.table(ending="md"),
        tex=paths.table(ending="tex"),
    log:
        paths.log("render_table", "{table}"),
    conda:
        "../../environment.yml"
    params:
        version=version_of("render_table"),
        entries=entry_versions(published.table_entries),
        table=of(published.table_params),
        meaning=of(published.table_meaning),
    message:
        "Table {wildcards.table}"
    script:
        "../scripts/render_table.py"


rule compare:
    input:
        unpack(of(published.question_input)),
    output:
        paths.comparisons(),
    log:
        paths.log("compare", "{question}"),
    wildcard_constraints:
        question=one_of(published.questions(settings)),
    conda:
        "../../environment.yml"
    params:
        version=version_of("compare"),
        comparisons=of(published.question_params),
    message:
        "Comparisons: {wildcards.question}"
    script:
        "../scripts/compare.py"


rule compare_with_paper:
    input:
        paths.table(),
    output:
        tsv=paths.beside_paper(ending="tsv"),
        md=paths.beside_paper(ending="md"),
    log:
        paths.log("compare_with_paper", "{table}"),
    wildcard_constraints:
        table=one_of(published.compared_tables(settings)),
    conda:
        "../../environment.yml"
    params:
        version=version_of("compare_with_paper"),
        titles=of(published.table_titles),
        table=of(published.comparison_params),
        level=settings.significance.level,
    message:
        "Table {wildcards.table} beside the paper's"
    script:
        "../scripts/compare_with_paper.py"


rule draw_neurons:
    input:
        of(identification.method_files),
    output:
        **drawings(*published.NEURON_FIGURES),
    log:
        paths.log("draw_neurons", "{model}.{method}"),
    conda:
        "../../environment.yml"
    params:
        version=version_of("draw_neurons"),
        title=model_setting("title"),
        width=settings.figures.width,
        height=settings.figures.height,
    message:
        "Figures of the neurons of {wildcards.model} by {wildcards.method}"
    script:
        "../scripts/draw_neurons.py"


rule draw_perplexity:
    input:
        paths.perplexity(),
    output:
        **drawings(*published.PERPLEXITY_FIGURES),
    log:
        paths.log("draw_perplexity", "{model}.{method}"),
    conda:
        "../../environment.yml"
    params:
        version=version_of("draw_perplexity"),
        title=model_setting("title"),
        width=settings.figures.width,
        height=settings.figures.height,
    message:
        "Figures of the perplexity change of {wildcards.model} by {wildcards.method}"
    script:
        "../scripts/draw_perplexity.py"


localrules:
    render_table,
    compare,
    compare_with_paper,
    draw_neurons,
    draw_perplexity,
