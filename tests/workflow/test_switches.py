"""The paper's way and the sound way of each switch reach the jobs that they are for (numbers: test_deviations.py)."""

import json
import subprocess
import sys

import pytest
from snakemake_calls import ROOT, SMALLEST

TARGETS = [
    "results/tiny-llama/statistics/vi/p90.parquet",
    "results/tiny-llama/neurons/act-prob-90p/vi.parquet",
    "results/tiny-llama/metrics/xnli/base/vi/p90@lape-set1.tsv",
    "results/tiny-llama/metrics/xnli/base/vi/none.tsv",
    "results/tiny-llama/perplexity/lape-set1.tsv",
    "results/tables/xquad.tsv",
]
PERCENTILES = [5, 10, 25, 50, 75, 90, 95]
WAYS = {
    "paper": {
        "activations": {"batch_percentiles": PERCENTILES},
        "statistics": {"site": "gate", "estimate": "batch_mean"},  # the text says exact; its code averages batches
        "methods": {"act-prob-90p": {"threshold": "batch_mean"}},
        "interventions": {"site": "act"},
        "tasks": {
            "xnli": {"separator": "spaced_eos"},
            "xquad": {"source": "files", "train": "xquad", "metric": "model_tokens"},
        },
    },
    "sound": {
        "activations": {"batch_percentiles": PERCENTILES},
        "statistics": {"site": "act", "estimate": "exact"},
        "methods": {"act-prob-90p": {"threshold": "layer"}},
        "interventions": {"site": "act"},
        "tasks": {
            "xnli": {"separator": "eos"},
            "xquad": {"source": "files", "train": "squad", "metric": "mlqa"},
        },
    },
    "other": {
        "activations": {"batch_percentiles": PERCENTILES},
        "statistics": {"site": "gate", "estimate": "exact"},
        "methods": {"act-prob-90p": {"threshold": "model"}},
        "interventions": {"site": "gate"},
        "tasks": {
            "xnli": {"separator": "eos"},
            "xquad": {"source": "files", "train": "squad", "metric": "mlqa"},
        },
    },
}

PLAN = """
import json, os, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

snakefile, directory, targets, answer, *configs = sys.argv[1:]
with SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api:
    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=1),
        config_settings=ConfigSettings(configfiles=[Path(config) for config in configs]),
        snakefile=Path(snakefile),
        workdir=Path(directory),
    )
    workflow.dag(dag_settings=DAGSettings(targets=set(json.loads(targets)))).execute_workflow(executor="dryrun")
    jobs = {
        job.output[0]: {"rule": job.rule.name, "input": list(job.input), "params": dict(job.params.items())}
        for job in workflow._workflow.dag.jobs
        if job.output
    }
Path(answer).write_text(json.dumps(jobs, default=str), encoding="utf-8")
"""


@pytest.fixture(scope="module", params=WAYS)
def planned(request, tmp_path_factory):
    """The edit, and each job's inputs and params by its first output, as Snakemake has them before it starts a job."""
    directory, edit = tmp_path_factory.mktemp(request.param), WAYS[request.param]
    for name in ("xquad/xquad.en.json", "xquad/xquad.vi.json", "squad/train-v1.1.json"):
        (directory / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / "data" / name).write_text("{}", encoding="utf-8")
    (directory / "edit.yaml").write_text(json.dumps(edit), encoding="utf-8")
    configs = [str(ROOT / config) for config in SMALLEST] + [str(directory / "edit.yaml")]
    command = [sys.executable, "-c", PLAN, str(ROOT / "Snakefile"), str(directory), json.dumps(TARGETS)]
    command += [str(directory / "jobs.json"), *configs]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (directory / "jobs.json").exists(), done.stdout + done.stderr
    return edit, json.loads((directory / "jobs.json").read_text(encoding="utf-8"))


def test_each_switch_reaches_its_jobs(planned):
    edit, jobs = planned
    xquad = edit["tasks"]["xquad"]
    assert jobs["results/tiny-llama/statistics/vi/p90.parquet"]["params"]["statistic"] == edit["statistics"]
    method = jobs["results/tiny-llama/neurons/act-prob-90p/vi.parquet"]["params"]["method"]
    assert method["threshold"] == edit["methods"]["act-prob-90p"]["threshold"]
    for target in ("metrics/xnli/base/vi/p90@lape-set1.tsv", "perplexity/lape-set1.tsv"):
        assert jobs[f"results/tiny-llama/{target}"]["params"]["site"] == edit["interventions"]["site"]
    assert jobs["results/tiny-llama/metrics/xnli/base/vi/none.tsv"]["params"]["site"] is None
    for target in ("adapters/xnli/base", "metrics/xnli/base/vi/none.tsv"):
        params = jobs[f"results/tiny-llama/{target}"]["params"]
        assert params["task"]["separator"] == edit["tasks"]["xnli"]["separator"]
    suffix = "" if xquad["metric"] == "mlqa" else "_model_tokens"
    columns = jobs["results/tables/xquad.tsv"]["params"]["table"]["scoring"]["columns"]
    assert columns == {"_em": f"exact_match{suffix}", "_f1": f"f1{suffix}"}
    train, test = (jobs[f"resources/tasks/xquad/{name}.parquet"] for name in ("en.train", "vi.test"))
    known = "resources/tasks/xquad/en.train.parquet", "resources/tasks/xquad/en.test.parquet"
    own = "data/xquad/xquad.vi.json"
    if xquad["train"] == "squad":
        assert (train["input"], test["params"]["settings"]["part"]) == (["data/squad/train-v1.1.json"], "all")
        assert sorted(test["input"]) == sorted([own, known[0]])  # no question of it may be tested
    else:
        assert (train["input"], test["params"]["settings"]["part"]) == (["data/xquad/xquad.en.json"], "test")
        assert sorted(test["input"]) == sorted([own, *known])  # the target's test questions are the source's, by id
        assert sorted(jobs[known[1]]["input"]) == sorted(["data/xquad/xquad.en.json", known[0]])
    assert train["params"]["settings"]["part"] == ("all" if xquad["train"] == "squad" else "train")
    assert all("metric" not in job["params"] for job in jobs.values() if job["rule"] == "evaluate")  # both are stored
