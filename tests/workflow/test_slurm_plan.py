"""What the paper's run would ask Slurm for, from Snakemake's own dry run with the groups of profiles/slurm."""

import os
import re

import pytest
import yaml
from snakemake_calls import ROOT, SMALLEST, parse

from langneurons.runner import plan, resources


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    return asked([], tmp_path_factory.mktemp("paper"))


def asked(configs, directory, profile=plan.PROFILE):
    before = os.getcwd()
    os.chdir(ROOT)  # as a person calls it
    try:
        return plan.ask_snakemake([str(ROOT / name) for name in configs], str(directory), [], str(profile))
    finally:
        os.chdir(before)


def test_the_whole_run_is_a_tenth_as_many_slurm_jobs_as_conditions(paper):
    _, jobs, slurm = paper
    conditions = [job for job in jobs if job.rule == "evaluate"]
    assert len(slurm) * 10 <= len(conditions)
    assert len({job.slurm for job in conditions}) * 40 <= len(conditions)


def profile_of(directory, **changes):
    """The profile with other keys; a value that is a dictionary is merged."""
    profile = yaml.safe_load((ROOT / plan.PROFILE).read_text(encoding="utf-8"))
    for key, value in changes.items():
        key = key.replace("_", "-")
        profile[key] = profile[key] | value if isinstance(value, dict) and key != "group-components" else value
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump(profile), encoding="utf-8")
    return path


def members(jobs, number):
    return [job for job in jobs if job.slurm == number]


@pytest.mark.parametrize("hours", [24, 3])
def test_no_slurm_job_asks_for_more_than_max_hours(tmp_path, hours):
    profile = profile_of(tmp_path, default_resources={"max_hours": hours}, set_resources={"evaluate": {}})
    _, jobs, slurm = asked([], tmp_path, profile)
    long = [asks for asks in slurm if asks.minutes > 60 * hours]
    assert all(asks.limit == 60 * hours for asks in slurm)
    assert [asks.too_long for asks in slurm] == [asks in long for asks in slurm]
    # What is longer is one job: it cannot be divided, and the plan names it.
    assert all(len(members(jobs, slurm.index(asks))) == 1 for asks in long)
    said = [line for line in plan.table([], slurm).splitlines() if line.startswith("Longer than max_hours: ")]
    assert len(said) == len(long) and bool(said) == (hours == 3)
    assert all(re.search(rf": finetune, .*: \d+\.\d of {hours} hours", line) for line in said)
    # As few as may be: two neighbours of one group do not fit into one job.
    groups = {}
    for number, asks in enumerate(slurm):
        one = members(jobs, number)[0]
        groups.setdefault((one.rule, one.wildcards["model"], one.wildcards.get("task")), []).append(asks.minutes)
    for key, minutes in groups.items():
        if key[0] in ("evaluate", "collect_activations", "measure_perplexity"):
            assert len(minutes) == max(1, -(-sum(minutes) // (60 * hours))) or len(minutes) * min(minutes) > 30 * hours


def test_a_profile_that_counts_jobs_is_refused(tmp_path):
    profile = profile_of(tmp_path, group_components={"evaluate-{model}-{task}": 56})
    with pytest.raises(RuntimeError, match=r"evaluate-\{model\}-\{task\}: groups are sized by max_hours; write"):
        asked(SMALLEST, tmp_path, profile)


@pytest.mark.parametrize("hours", ["0", "'a day'"])
def test_max_hours_is_a_number_of_hours(tmp_path, hours):
    profile = profile_of(tmp_path, default_resources={"max_hours": hours})
    with pytest.raises(RuntimeError, match="max_hours: is .*; write whole hours, 1 or more, as max_hours: 24"):
        asked(SMALLEST, tmp_path, profile)


def test_a_group_is_of_one_model_and_asks_for_one_gpu(paper):
    _, jobs, slurm = paper
    for number, asks in enumerate(slurm):
        members = [job for job in jobs if job.slurm == number]
        assert len({job.wildcards["model"] for job in members}) == 1
        assert {job.gpu for job in members} == {bool(asks.gpus)}
        assert asks.gpus <= 1


def test_a_group_asks_for_one_member_s_memory_and_all_members_time(paper):
    _, jobs, slurm = paper
    for number, asks in enumerate(slurm):
        members = [job for job in jobs if job.slurm == number]
        assert asks.memory <= 45_000
        assert asks.minutes >= 5 * len(members)


def test_gpu_rules_alone_ask_for_a_gpu(paper):
    _, jobs, _ = paper
    gpu = {job.rule for job in jobs if job.gpu}
    assert gpu == {"quantize_model", "collect_activations", "finetune", "evaluate", "measure_perplexity"}


def test_downloads_and_gathering_are_local(paper):
    _, jobs, _ = paper
    local = {job.rule for job in jobs if job.slurm is None}
    downloads = {"download_model", "download_corpus_shard", "download_task"}
    tables = {"render_table", "compare", "compare_with_paper", "write_report"}
    assert local == downloads | tables | {"draw_neurons", "draw_perplexity", "draw_curves"}


def test_the_readme_says_what_the_paper_s_run_is(paper):
    """The README's numbers of Slurm jobs and GPU hours, held against the plan."""
    config, jobs, slurm = paper
    hours = sum(row.gpu_hours for row in plan.stages(config, jobs))
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    said = re.search(r"(\d+) conditions, is (\d+) Slurm jobs and about (\d+) GPU hours", text)
    assert said, "README.md no longer says '... conditions, is ... Slurm jobs and about ... GPU hours'"
    assert int(said[1]) == sum(job.rule == "evaluate" for job in jobs)
    assert int(said[2]) == len(slurm)
    assert int(said[3]) == pytest.approx(hours, rel=0.05)


def test_the_table_adds_up(paper):
    config, jobs, slurm = paper
    rows = plan.stages(config, jobs)
    assert sum(row.jobs for row in rows) == len(jobs)
    assert set().union(*(row.slurm for row in rows)) == set(range(len(slurm)))
    last = plan.table(rows, slurm).splitlines()[len(rows) + 1].split()
    assert last[:3] == ["all", str(len(jobs)), str(len(slurm))]


def test_a_plan_of_any_configuration(tmp_path):
    _, jobs, slurm = asked(SMALLEST, tmp_path)
    assert {job.wildcards["model"] for job in jobs if job.slurm is not None} == {"tiny-llama", "tiny-mistral"}
    # By model: pretraining and four stages; by model and task: two; and one model's 4-bit weights.
    assert len(slurm) == 2 * 5 + 4 * 2 + 1


@pytest.mark.parametrize("world", ["paper", "demo", "files"])
def test_every_rule_is_known_by_what_it_takes(world, tmp_path):
    """Of each source's rules: the Hub's, the demo's, a person's own files."""
    overlays = {"paper": (), "demo": SMALLEST, "files": ("config/demo.yaml", "config/local-files.yaml")}
    done = parse(tmp_path, "--list-rules", configs=overlays[world])
    rules = {line for line in done.stdout.splitlines() if re.fullmatch(r"[a-z_]+", line)}
    assert {"evaluate", "collect_activations"} <= rules
    stages = {"corpus", "statistics", "neurons", "adapters", "metrics", "perplexity", "tables", "figures", "report"}
    assert rules - resources.KNOWN - stages == {"all"}


def test_an_unknown_rule_is_refused(paper):
    with pytest.raises(ValueError, match=r"rule think: .*resources\.py"):
        resources.seconds(paper[0], "think", {})
    with pytest.raises(ValueError, match=r"rule think: .*resources\.py"):
        resources.memory(paper[0], "think", "mistral-nemo")


def test_every_rule_with_a_script_has_its_version():
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^\s*rule\b", file.read_text(encoding="utf-8"), flags=re.M)[1:]:
            script = re.search(r'"\.\./scripts/(\w+)\.py"', rule)
            assert script, f"{file.name}: a rule without a script"
            assert re.search(rf'version=version_of\("{script[1]}"[,)]', rule), (
                f"{file.name}: {script[1]} has no version"
            )


def told(capsys, *arguments):
    """What ``langneurons plan`` says where it makes no plan: one line."""
    assert plan.main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert said.out == ""
    return line


OVERLAYS = {
    "missing": (None, ": cannot be read (No such file or directory); write the path of a configuration file"),
    "empty": (b"", ": holds nothing; write keys of the configuration with their values, as in config/config.yaml"),
    "list": (b"[1, 2]", ": holds a list; write keys of the configuration with their values, as in config/config.yaml"),
    "text": (b"seed", ": holds a single value; write keys of the configuration with their values, as in config/confi"),
    "UTF-16": ("seed: 1".encode("utf-16"), ": byte 0 is not UTF-8; save the file as UTF-8"),
    "no YAML": (b"a: [1", ", line "),
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_file_that_is_no_configuration_is_one_line(tmp_path, monkeypatch, capsys, name):
    content, says = OVERLAYS[name]
    file = tmp_path / "overlay.yaml"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.chdir(ROOT)
    assert told(capsys, "--configfile", file, "--directory", tmp_path).startswith(f"error: {file}{says}")
    assert [path for path in tmp_path.iterdir() if path != file] == []


def test_a_directory_as_a_configuration_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert told(capsys, "--configfile", tmp_path).startswith(f"error: {tmp_path}: cannot be read (Is a directory)")


def test_a_plan_makes_no_directory(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert told(capsys, "--directory", tmp_path / "new").startswith(
        f"error: --directory {tmp_path}/new: is no directory"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_plan_outside_the_repository_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert told(capsys) == (
        f"error: {tmp_path}: has no Snakefile and profiles/slurm/config.yaml; run this in the repository's root"
    )
    (tmp_path / "Snakefile").touch()
    (tmp_path / "profiles/slurm").mkdir(parents=True)
    for text, says in (("resources: [", ", line 1: "), ("jobs: 1", "has no resources; add it")):
        (tmp_path / plan.PROFILE).write_text(text)
        line = told(capsys)
        assert line.startswith(f"error: {plan.PROFILE}") and says in line


def test_a_fault_of_the_configuration_is_told(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("run: {models: [llama]}\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"run\.models\[0\]"):
        asked([overlay], tmp_path)
