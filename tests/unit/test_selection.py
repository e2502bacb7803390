"""Values by rank: both ways against numpy's sorting, and percentiles of batches against numpy's own."""

import numpy as np
import pytest
import torch

from langneurons.activations import kernels, numba_kernel, numba_select, torch_kernel

WAYS = {"numba-1": (numba_select.select, 1), "numba-2": (numba_select.select, 2), "torch": (torch_kernel.select, 1)}


@pytest.fixture(params=WAYS)
def select(request):
    way, threads = WAYS[request.param]
    before = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(before))
    torch.set_num_threads(threads)
    return way


def values(tokens, neurons, kind):
    rng = np.random.default_rng(3)
    if kind == "normal":
        return rng.standard_normal((tokens, neurons)).astype(np.float32) * 3
    if kind == "few":  # of which many are equal, zeros of both signs too
        return rng.choice(np.float32([0.0, -0.0, 1.5, -2.25, 1e-45, -1e-45, 3e38]), (tokens, neurons))
    return rng.integers(0, 0x7F800000, (tokens, neurons), dtype=np.int32).view(np.float32) * rng.choice(
        np.float32([-1, 1]), (tokens, neurons)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["normal", "few", "any"])
@pytest.mark.parametrize(("tokens", "neurons"), [(1, 1), (2, 5), (129, 40), (1000, 17)])
def test_ranks_are_those_of_numpys_sorting(select, tokens, neurons, kind, dtype):
    z = torch.tensor(values(tokens, neurons, kind)).clamp(-6e4, 6e4).to(dtype)
    ranks = sorted({0, tokens // 2, max(0, tokens - 2), tokens - 1})
    low, high = select(z, ranks)
    ordered = np.sort(z.float().numpy(), axis=0)
    assert low.dtype == high.dtype == torch.float32
    assert (low.numpy() == ordered[ranks]).all()
    assert (high.numpy() == ordered[[min(rank + 1, tokens - 1) for rank in ranks]]).all()


def test_strides_do_not_matter(select):
    z = torch.tensor(values(90, 70, "normal"))
    for view in (z[:, 10:50], z.t(), z[::2]):
        assert torch.equal(select(view, [7])[0], select(view.contiguous(), [7])[0])


def test_what_counts_compiled_selects_compiled():
    assert kernels.selection_beside(numba_kernel.count) is numba_select.select
    assert kernels.selection_beside(torch_kernel.count_on_cpu) is torch_kernel.select
