"""Every kernel against the definition: the same counts, the same extremes, the same sums to the last bit."""

import importlib.util
import logging
import os
import subprocess
import sys
import types
from fractions import Fraction

import numpy as np
import pytest
import torch

from langneurons.activations import exact_sums, kernels, numba_kernel, torch_kernel
from langneurons.activations.sketch import BINS, QUANTA, NeuronCounts, carry

NO_TRITON = "Triton is not installed (it comes with torch for GPUs)"
GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")


# Triton's interpreter, on a CPU, must be chosen before anything imports Triton: it gets a process of its own.
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


@pytest.fixture(
    params=["cpu", "numba-1", "numba-2", "gpu", *(["triton"] if GPU or INTERPRETED else [])], ids="by-{}".format
)
def kernel(request):
    """A kernel, and the device it is tried on; of Numba's the number of threads."""
    if request.param.startswith("numba"):
        from langneurons.activations.numba_kernel import count

        before = torch.get_num_threads()
        request.addfinalizer(lambda: torch.set_num_threads(before))
        torch.set_num_threads(int(request.param[-1]))
        return count, torch.device("cpu")
    if request.param == "cpu":
        return torch_kernel.count_on_cpu, torch.device("cpu")
    if request.param == "gpu":
        return torch_kernel.count_on_gpu, DEVICE
    pytest.importorskip("triton", reason=NO_TRITON)
    from langneurons.activations.triton_kernel import count

    return count, DEVICE


def awkward(tokens, neurons, seed=0, largest=0x7F800000):
    """Values at every magnitude and border a float32 has, ``[tokens, neurons]``; magnitudes' bits below ``largest``."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, largest, (tokens, neurons), dtype=np.int32)  # log-uniform, denormals too
    z = bits.view(np.float32) * rng.choice(np.float32([-1, 1]), bits.shape)
    borders = np.float32([0.0, -0.0, 1e-45, -1e-45, 2.0**-10, -(2.0**-10), 1.0, -1.03125, 2.0**-37, 3 * 2.0**-37])
    large = np.float32([2.0**11, -(2.0**11), 2.0**7.5, 2.0**15, 2.0**33, -(2.0**34)])
    borders = np.append(borders, large[np.abs(large) < np.int32(largest).view(np.float32)])
    borders = np.concatenate([borders, np.nextafter(borders, np.float32(0)), rng.standard_normal(200) * 3])
    return np.where(rng.random(bits.shape) < 0.7, rng.choice(borders.astype(np.float32), bits.shape), z)


SMALL = int(np.float32(100.0).view(np.int32))  # all squares below the border of the upper limb
CHANNELS = int(np.float32(2.0**30).view(np.int32))  # squares that need it, and still add exactly


def counted(kernel, *parts):
    """Histogram ``[D, BINS]``, carried moments ``[2, 3, D]``, minimum and maximum of tensors ``[tokens, D]``."""
    count, device = kernel
    buffers = kernels.room(parts[0].shape[1], device)
    for part in parts:
        count(part.to(device), *buffers)
    histogram, moments, minimum, maximum = (buffer.cpu().numpy() for buffer in buffers)
    return histogram.reshape(-1, BINS), carry(moments[:, :, None])[:, :, 0], minimum, maximum


def assert_definition(found, z):
    expected = NeuronCounts.empty(1, z.shape[1])
    expected.update(z[:, None])
    histogram, moments, minimum, maximum = found
    assert histogram.dtype == np.int32
    assert (histogram == expected.histogram[0]).all()
    assert minimum.tobytes() == expected.minimum[0].tobytes()
    assert maximum.tobytes() == expected.maximum[0].tobytes()
    assert moments.tobytes() == expected.moments[:, :, 0].tobytes()


@pytest.mark.parametrize("largest", [SMALL, CHANNELS])
@pytest.mark.parametrize(("tokens", "neurons"), [(1, 1), (5, 300), (1100, 3), (700, 70), (4200, 130)])
def test_every_kernel_agrees_with_the_definition(kernel, tokens, neurons, largest):
    z = awkward(tokens, neurons, largest=largest)
    assert_definition(counted(kernel, torch.tensor(z)), z)


def test_more_values_than_one_step_works_on(kernel, monkeypatch):
    monkeypatch.setattr(torch_kernel, "_GPU_VALUES", 900)
    monkeypatch.setattr(torch_kernel, "_CPU_TOKENS", 100)
    monkeypatch.setattr(numba_kernel, "_TOKENS", 100)
    z = awkward(1300, 71, largest=SMALL)
    assert_definition(counted(kernel, torch.tensor(z)), z)


def test_any_finite_value_has_its_bin(kernel):
    """The sums are beyond their limits here, and round."""
    z = awkward(300, 70)
    histogram, _, minimum, maximum = counted(kernel, torch.tensor(z))
    expected = NeuronCounts.empty(1, 70)
    expected.update(z[:, None])
    assert (histogram == expected.histogram[0]).all()
    assert (minimum == z.min(axis=0)).all() and (maximum == z.max(axis=0)).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_type_is_counted_as_the_float32_it_is(kernel, dtype):
    z = torch.tensor(awkward(90, 140, largest=SMALL)).to(dtype)
    assert_definition(counted(kernel, z), z.float().numpy())


def test_strides_do_not_matter(kernel):
    z = torch.tensor(awkward(60, 180, largest=SMALL))
    assert_definition(counted(kernel, z[:, 10:150]), z[:, 10:150].numpy())
    assert_definition(counted(kernel, z.t()), z.t().numpy())


def test_sums_are_exact_integers_of_the_least_quantum(kernel):
    """By fractions of Python: each value and each square to the nearest multiple, halves to the even one."""
    z = awkward(64, 66, largest=CHANNELS)
    moments = counted(kernel, torch.tensor(z))[1]
    quanta = [Fraction(quantum) for quantum in QUANTA]
    for neuron, column in enumerate(z.T):
        for power in (1, 2):
            exact = sum(round(Fraction(float(value)) ** power / quanta[2]) for value in column)
            limbs = [Fraction(limb) for limb in moments[power - 1, :, neuron]]
            assert sum(limbs) / quanta[2] == exact
            assert all(limb % quantum == 0 for limb, quantum in zip(limbs, quanta, strict=True))
            for limb, above in zip(limbs[1:], quanta, strict=False):
                assert -above / 2 <= limb < above / 2


def test_order_and_grouping_change_no_bit(kernel):
    z = torch.tensor(awkward(400, 69, largest=CHANNELS))
    once = counted(kernel, z)
    order = torch.tensor(np.random.default_rng(1).permutation(400))
    for parts in ([z[order]], [z[:7], z[7:300], z[300:]], [z[order[:200]], z[order[200:]]]):
        for one, other in zip(once, counted(kernel, *parts), strict=True):
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_broken_value_shows_in_its_neurons_extremes_alone(kernel, value):
    z = awkward(300, 66, largest=SMALL)
    z[123, [2, 65]] = value
    _, _, minimum, maximum = counted(kernel, torch.tensor(z))
    assert np.flatnonzero(~(np.isfinite(minimum) & np.isfinite(maximum))).tolist() == [2, 65]


def test_values_so_small_that_their_upper_bits_are_zeros_are_not_zero(kernel):
    z = np.float32([0.0, -0.0, 1e-45, -1e-45, 3e-40, -3e-40, 1e-38]).repeat(64).reshape(7, 64)
    assert_definition(counted(kernel, torch.tensor(z)), z)


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason=NO_TRITON)
@pytest.mark.skipif(GPU or INTERPRETED, reason="Triton's kernel is among those tried above")
def test_tritons_kernel_in_its_interpreter(root):
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "by-triton"],
        cwd=root,
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    assert " skipped" not in run.stdout and " passed" in run.stdout, run.stdout


def test_a_rounder_is_what_its_bits_say():
    assert np.float64(exact_sums.ROUNDER).view(np.int64) == exact_sums.ROUNDER_BITS
    assert QUANTA[1] / QUANTA[2] == 2**exact_sums.LIMB_BITS
    # The most that the units of a step can come to, and half a limb that is added before it is cut.
    assert exact_sums.SUM_TOKENS * exact_sums.HALF / QUANTA[2] + 2**25 < 2**63
    assert torch_kernel._CPU_TOKENS <= exact_sums.SUM_TOKENS
    assert numba_kernel._TOKENS <= exact_sums.SUM_TOKENS


def without_triton(monkeypatch):
    monkeypatch.setattr(kernels.importlib.util, "find_spec", lambda name: None)


def with_triton(monkeypatch, count):
    module = types.ModuleType("langneurons.activations.triton_kernel")
    module.count = count
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(kernels.importlib.util, "find_spec", lambda name: name)
    room = kernels.room
    monkeypatch.setattr(kernels, "room", lambda neurons, device: room(neurons, torch.device("cpu")))
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *args, **kwargs: ones(*args, **{**kwargs, "device": "cpu"}))


def test_a_cpu_counts_with_numba(caplog):
    with caplog.at_level(logging.INFO):
        assert kernels.kernel_for(torch.device("cpu")) is numba_kernel.count
    assert "counting with Numba" in caplog.text


def test_a_cpu_without_numba_counts_with_torch(monkeypatch, caplog):
    monkeypatch.setattr(kernels.importlib.util, "find_spec", lambda name: None)
    with caplog.at_level(logging.INFO):
        assert kernels.kernel_for(torch.device("cpu")) is torch_kernel.count_on_cpu
    assert "Numba is not installed: counting with torch" in caplog.text


@pytest.mark.parametrize("fault", [OSError("no libLLVM"), RuntimeError("no such processor"), None])
def test_a_cpu_where_numba_does_not_work_counts_with_torch(monkeypatch, caplog, fault):
    def broken(*arguments):
        if fault:
            raise fault

    monkeypatch.setattr(numba_kernel, "count", broken)
    with caplog.at_level(logging.WARNING):
        assert kernels.kernel_for(torch.device("cpu")) is torch_kernel.count_on_cpu
    assert "Numba cannot count here" in caplog.text
    assert (str(fault) if fault else "counted 2048 ones as 0 values") in caplog.text


PLACES = {"none": "/proc/nowhere", "another": "cache"}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_numbas_kernel_needs_no_place_for_its_cache(root, tmp_path, place):
    """The compiled code is kept where ``NUMBA_CACHE_DIR`` says, and nowhere if nothing can be written there."""
    code = (
        "import torch\nfrom langneurons.activations import kernels\n"
        "print(kernels.kernel_for(torch.device('cpu')).__module__)\n"
    )
    folder = tmp_path / place  # an absolute one stays as it is
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(root / "src")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.stdout == "langneurons.activations.numba_kernel\n", run.stderr
    assert list(tmp_path.rglob("*.nbc")) == [] if place == PLACES["none"] else list(tmp_path.rglob("*.nbc"))


def test_a_gpu_without_triton_counts_with_torch(monkeypatch):
    without_triton(monkeypatch)
    assert kernels.kernel_for(torch.device("cuda")) is torch_kernel.count_on_gpu


def test_a_gpu_counts_with_triton_where_it_works(monkeypatch):
    def works(*arguments):
        torch_kernel.count_on_gpu(*arguments)

    with_triton(monkeypatch, works)
    assert kernels.kernel_for(torch.device("cuda")) is works


def test_a_gpu_where_triton_does_not_compile_counts_with_torch(monkeypatch, caplog):
    def broken(*arguments):
        raise RuntimeError("Failed to find C compiler")

    with_triton(monkeypatch, broken)
    with caplog.at_level(logging.WARNING):
        assert kernels.kernel_for(torch.device("cuda")) is torch_kernel.count_on_gpu
    assert "Failed to find C compiler" in caplog.text


def test_a_gpu_where_triton_counts_nothing_counts_with_torch(monkeypatch, caplog):
    with_triton(monkeypatch, lambda *arguments: None)
    with caplog.at_level(logging.WARNING):
        assert kernels.kernel_for(torch.device("cuda")) is torch_kernel.count_on_gpu
    assert "counted 2048 ones as 0 values" in caplog.text
