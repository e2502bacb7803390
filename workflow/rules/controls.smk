# Controls beyond the paper: random neurons, split halves, and what the relevance owes to chance.


rule identify_half_neurons:
    input:
        unpack(of(identification.half_input)),
    output:
        paths.half_neurons(),
    log:
        paths.log("identify_half_neurons", "{model}", "{mask}.{half}"),
    wildcard_constraints:
        half="even|odd",
    group:
        groups.of("identify_half_neurons", "counts-{model}")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory_of("identify_half_neurons"),
        runtime=time_of("identify_half_neurons"),
        in_turn=1,
    params:
        version=version_of("identify_half_neurons"),
        entries=entry_versions(identification.mask_entries),
        method=of(identification.mask_settings),
    message:
        "Neurons of {wildcards.model} by {wildcards.mask}, on the {wildcards.half} shards"
    script:
        "../scripts/identify_half_neurons.py"
