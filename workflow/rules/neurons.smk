# Which neurons belong to which language, by each method.


rule identify_neurons:
    input:
        unpack(of(identification.identification_input)),
    output:
        paths.neurons(),
    log:
        paths.log("identify_neurons", "{model}", "{mask}"),
    group:
        groups.of("identify_neurons", "counts-{model}")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory_of("identify_neurons"),
        runtime=time_of("identify_neurons"),
        in_turn=1,
    params:
        version=version_of("identify_neurons"),
        entries=entry_versions(identification.mask_entries),
        names=of(identification.input_names),
        shards=of(identification.identified_shards),
        method=of(identification.mask_settings),
    message:
        "Neurons of {wildcards.model} by {wildcards.mask}"
    script:
        "../scripts/identify_neurons.py"
