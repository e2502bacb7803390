# Which neurons belong to which language, by each method.


def identification_input(wildcards):
    """Counts of the method's languages; for random neurons, the masks whose numbers they copy."""
    if settings.methods[wildcards.method].kind == "random":
        references = random_references(settings, wildcards.method)
        return {"masks": [paths.neurons(wildcards.model, m) for m in sorted(set(references.values()))]}
    languages = statistics_languages(settings, wildcards.method)
    return {"activations": [paths.activations(wildcards.model, language) for language in languages]}


def method_params(wildcards):
    """The method's own keys, and the languages that its set or comparison stands for."""
    spec = settings.methods[wildcards.method]
    chosen = spec.model_dump(exclude={"set", "like"}) | {"languages": method_languages(settings, wildcards.method)}
    if spec.kind == "random":
        chosen["references"] = random_references(settings, wildcards.method)
    return chosen


rule identify_neurons:
    input:
        unpack(identification_input),
    output:
        paths.neurons(),
    params:
        method=method_params,
    log:
        paths.log("identify_neurons", "{model}", "{method}"),
    resources:
        mem_mb=lambda wildcards, attempt: 32_000 * attempt,
        runtime=60,
    message:
        "Neurons of {wildcards.model} by {wildcards.method}"
    script:
        "../scripts/identify_neurons.py"
