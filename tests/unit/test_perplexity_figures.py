"""The matrix in bits per byte, against the file it is drawn from."""

import numpy as np
import pytest
from artifact_files import tsv_file

from langneurons.evaluation.perplexity import perplexity_rows, write_perplexity
from langneurons.figures.neurons import save_chart
from langneurons.figures.perplexity import bits_per_byte_change


@pytest.fixture
def chart(tmp_path):
    base = {"en": (200.0, 100), "vi": (300.0, 100)}
    zeroed = {"en": {"en": (210.0, 100), "vi": (300.00001, 100)}, "vi": {"en": (199.0, 100), "vi": (4300.0, 100)}}
    rows = perplexity_rows(base, zeroed, {"en": 400, "vi": 250}, {"en": 3, "vi": 4})
    write_perplexity(tmp_path / "m.tsv", rows, "tiny", "m")
    return bits_per_byte_change(tmp_path / "m.tsv", "Tiny, m", 420, 280)


def test_a_cell_is_the_change_of_the_loss_in_bits_a_byte(chart):
    cells = {(cell["zeroed"], cell["language"]): cell for cell in chart.to_dict()["data"]["values"]}
    assert cells["en", "en"]["change"] == pytest.approx(10 / np.log(2) / 400)
    assert cells["vi", "en"]["change"] == pytest.approx(-1 / np.log(2) / 400)
    assert cells["vi", "vi"]["change"] == pytest.approx(4000 / np.log(2) / 250)
    # Three decimals; a change that rounds to nothing has no sign; large ones without decimals.
    labels = {pair: cell["label"] for pair, cell in cells.items()}
    assert labels == {("en", "en"): "0.036", ("en", "vi"): "0.000", ("vi", "en"): "−0.004", ("vi", "vi"): "23"}


def test_the_drawing_says_what_it_is(chart, tmp_path):
    save_chart(chart, tmp_path / "m.svg")
    text = (tmp_path / "m.svg").read_text(encoding="utf-8")
    assert "bits per byte of text" in text and "Tiny, m" in text and ">0.036<" in text


def test_a_file_without_bits_is_named(tmp_path):
    tsv_file(tmp_path / "old.tsv", "language\tzeroed\tneurons\tchange\nen\ten\t3\t1.5")
    with pytest.raises(ValueError, match=r"old\.tsv: has no column .*bits_per_byte_base"):
        bits_per_byte_change(tmp_path / "old.tsv", "t", 420, 280)
