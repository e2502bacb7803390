# Controls beyond the paper: random neurons, split halves, and what the relevance owes to chance.


rule identify_half_neurons:
    input:
        unpack(of(identification.half_input)),
    output:
        paths.half_neurons(),
    log:
        paths.log("identify_half_neurons", "{model}", "{method}.{half}"),
    wildcard_constraints:
        half="even|odd",
    group:
        "counts-{model}"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory_of("identify_half_neurons"),
        runtime=time_of("identify_half_neurons"),
        in_turn=1,
    params:
        version=version_of("identify_half_neurons"),
        entries=entry_versions(identification.method_entries),
        method=of(identification.method_settings),
    message:
        "Neurons of {wildcards.model} by {wildcards.method}, on the {wildcards.half} shards"
    script:
        "../scripts/identify_half_neurons.py"


rule render_control:
    input:
        unpack(of(published.control_input)),
    output:
        tsv=report(paths.table(ending="tsv"), caption="../report/table.rst", category="Tables"),
        md=paths.table(ending="md"),
        tex=paths.table(ending="tex"),
    log:
        paths.log("render_table", "{table}"),
    wildcard_constraints:
        table=one_of(name for name, table in settings.tables.items() if table.kind in published.CONTROL_KINDS),
    conda:
        "../../environment.yml"
    params:
        version=version_of("render_control"),
        table=of(published.control_params),
    message:
        "Table {wildcards.table}"
    script:
        "../scripts/render_control.py"


localrules:
    render_control,
