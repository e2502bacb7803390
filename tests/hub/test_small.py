"""config/small.yaml: refused until the person has filled in the commit, then planned whole."""

import json

from snakemake_calls import parse, planned

SMALL = "config/small.yaml"


def test_an_unfilled_commit_is_refused_with_the_command_that_prints_it(tmp_path):
    done = parse(tmp_path, "--dry-run", configs=(SMALL,))
    assert done.returncode not in (0, None)
    assert "models.qwen2.5-1.5b.revision: is 'FILL-IN'; should be a commit of 40 hexadecimal digits" in done.stdout
    assert "langneurons hub commit Qwen/Qwen2.5-1.5B" in done.stdout
    assert "Job stats" not in done.stdout and "most recent call last" not in done.stdout


def test_with_the_commit_it_is_planned(tmp_path):
    filled = tmp_path / "filled.yaml"
    filled.write_text(json.dumps({"models": {"qwen2.5-1.5b": {"revision": "a" * 40}}}), encoding="utf-8")
    counts = planned(tmp_path, configs=(SMALL, filled))
    assert {rule: counts.pop(rule) for rule in list(counts) if rule.startswith("download")} == {
        "download_model": 1,
        "download_corpus_shard": 3,
        "download_task": 4,  # English to train; English, Vietnamese, Hindi to test
    }
    # The base model alone is trained; nothing, mean and zero of two methods in two languages, and English without.
    # LAPE, and Act Prob 90p of the source and both targets.
    assert (counts["finetune"], counts["evaluate"], counts["identify_neurons"]) == (1, 3 + 2 * 2 * 2, 1 + 3)
    assert counts["collect_activations"] == 3
