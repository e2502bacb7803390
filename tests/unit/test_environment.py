"""One set of versions: constraints.txt, environment.yml and pyproject.toml agree."""

import re
import tomllib

import yaml

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)$")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines) -> dict[str, str]:
    found = [PIN.match(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    assert all(found), "every line is name==version"
    return {normal(m.group(1)): m.group(2) for m in found}


def constraints(root):
    return pins((root / "constraints.txt").read_text(encoding="utf-8").splitlines())


def conda(root):
    listed = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    return pins(next(entry["pip"] for entry in listed if isinstance(entry, dict)))


def project(root):
    found = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {normal(n) for n in found["dependencies"] + found["optional-dependencies"]["test"]}


def test_environment_has_the_same_pins(root):
    everything = constraints(root)
    assert conda(root) == {name: everything[name] for name in conda(root)}


def test_every_dependency_is_pinned_in_both(root):
    assert project(root) <= constraints(root).keys()
    assert project(root) == conda(root).keys()


def test_no_cuda_build_is_pinned(root):
    # A pinned CUDA wheel would not install on a machine without that index.
    assert not [n for n in constraints(root) if n.startswith(("nvidia-", "triton"))]
    assert constraints(root)["torch"].count("+") == 0


def test_the_installed_versions_are_the_pinned_ones(root):
    from importlib.metadata import version

    for name in ("torch", "transformers", "peft", "snakemake", "pandas", "pyarrow"):
        assert version(name).split("+")[0] == constraints(root)[name]
