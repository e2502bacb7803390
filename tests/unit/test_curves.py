"""Training curves: the file and back, what is refused, what the figure draws."""

import numpy as np
import pytest
from artifact_files import changed_tsv

from langneurons.figures.curves import finetuning_curves, smoothed
from langneurons.figures.neurons import save_chart
from langneurons.finetuning.curves import read_curve, write_curve

STEPS = 150


def curve(level=2.0, validation=True):
    return [
        {
            "step": step,
            "epoch": step / 50,
            "learning_rate": 1e-3 * (1 - step / STEPS),
            "loss": level / step**0.5,
            "gradient_norm": 0.1 + step / 3,
            "validation_loss": level / step if validation and step % 50 == 0 else None,
        }
        for step in range(1, STEPS + 1)
    ]


def test_a_curve_comes_back_to_the_last_bit(tmp_path):
    write_curve(curve(), tmp_path / "base.tsv")
    assert read_curve(tmp_path / "base.tsv") == curve()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: line.replace("gradient_norm", "norm"), "no column gradient_norm"),
        (lambda line: line.replace("7\t0.14", "seven\t0.14"), "line 8 holds what is no number"),
        (lambda line: line.replace("7\t0.14", "7\tnan"), "line 8 holds a number that is not finite"),
    ],
)
def test_a_broken_curve_is_refused(tmp_path, change, message):
    path = tmp_path / "base.tsv"
    write_curve(curve(), path)
    changed_tsv(path, lambda lines: [change(line) if line.startswith(("step", "7\t")) else line for line in lines])
    with pytest.raises(ValueError, match=rf"base\.tsv: .*{message}"):
        read_curve(path)


def test_a_curve_that_is_not_finite_is_not_written(tmp_path):
    rows = curve()
    rows[3]["gradient_norm"] = float("inf")
    with pytest.raises(ValueError, match=r"base\.tsv: gradient_norm is infinity at row 3"):
        write_curve(rows, tmp_path / "base.tsv")
    assert not list(tmp_path.iterdir())


def test_a_curve_of_another_fine_tuning_is_refused(tmp_path):
    own = {"model": "tiny", "task": "xnli", "finetuning": "base"}
    write_curve(curve(), tmp_path / "base.tsv", own)
    assert read_curve(tmp_path / "base.tsv", own) == curve()
    finetuning_curves([tmp_path / "base.tsv"], "A", 300, 200, {"model": "tiny", "task": "xnli"})
    (tmp_path / "base.tsv").rename(tmp_path / "en@lape.tsv")
    with pytest.raises(ValueError, match=r"en@lape\.tsv: finetuning is 'base', 'en@lape' was expected"):
        finetuning_curves([tmp_path / "en@lape.tsv"], "A", 300, 200, {"model": "tiny", "task": "xnli"})


def test_smoothing_takes_means_of_windows():
    points = smoothed(curve(), 40)
    assert len(points) == 38  # windows of 4 steps, the last of 2
    losses = np.array([row["loss"] for row in curve()])
    np.testing.assert_allclose([p["loss"] for p in points[:-1]], losses[:148].reshape(37, 4).mean(1))
    assert points[-1] == {"epoch": 3.0, "loss": pytest.approx(losses[148:].mean())}
    assert [p["epoch"] for p in points[:2]] == [4 / 50, 8 / 50]


@pytest.mark.parametrize("validation", [True, False])
def test_the_figure_holds_every_fine_tuning(tmp_path, validation):
    names = ["base", "en+vi@lape-set1"]
    paths = [tmp_path / "xnli" / f"{name}.tsv" for name in names]
    for level, path in enumerate(paths, 2):
        write_curve(curve(level, validation), path)
    spec = finetuning_curves(paths, "Tiny", 300, 200).to_dict()
    lines = spec["layer"][0].get("data", spec.get("data"))["values"]
    assert {row["finetuning"] for row in lines} == set(names)
    assert len(spec["layer"]) == 1 + validation
    if validation:
        points = spec["layer"][1]["data"]["values"]
        assert [(row["finetuning"], row["epoch"]) for row in points] == [(n, e) for n in names for e in (1.0, 2.0, 3.0)]
    assert "xnli" in spec["title"]["subtitle"][0] and ("points" in spec["title"]["subtitle"][0]) == validation


def test_its_pdf_holds_nothing_in_an_order_drawn_by_chance(tmp_path):
    path = tmp_path / "xnli" / "base.tsv"
    path.parent.mkdir()
    write_curve(curve(), path)
    save_chart(finetuning_curves([path], "A", 300, 200), tmp_path / "curve.pdf")
    content = (tmp_path / "curve.pdf").read_bytes()
    assert b"/XObject" not in content  # of see-through marks
    assert content.count(b"/Subtype /Type0") == 1
