# Which neurons belong to which language, by each method.


rule identify_neurons:
    input:
        unpack(identification_input),
    output:
        paths.neurons(),
    log:
        paths.log("identify_neurons", "{model}", "{method}"),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=lambda wildcards, attempt: 32_000 * attempt,
        runtime=60,
    params:
        method=method_params,
    message:
        "Neurons of {wildcards.model} by {wildcards.method}"
    script:
        "../scripts/identify_neurons.py"
