"""Greedy generation: batches, padding and early ends change no answer."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from langneurons.evaluation import generation
from langneurons.evaluation.generation import generate_answers

VOCABULARY, NEW = 50, 14


def build(kind, seed=0, sliding_window=None):
    """A tiny model whose best and second-best tokens lie far apart (``separation``)."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    extra = {"sliding_window": sliding_window} if kind == "mistral" else {}
    config = AutoConfig.for_model(
        kind, vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, pad_token_id=0, eos_token_id=2, initializer_range=0.5, **extra,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config).eval()


def step_by_step(model, prompt, stop, new=NEW):
    """The definition: the whole sequence again for each token, without cache or padding."""
    ids, margins = list(prompt), []
    with torch.no_grad():
        for _ in range(new):
            best = model(input_ids=torch.tensor([ids])).logits[0, -1].topk(2)
            margins.append(float(best.values[0] - best.values[1]))
            if int(best.indices[0]) in stop:
                break
            ids.append(int(best.indices[0]))
    return ids[len(prompt) :], min(margins)


@pytest.fixture(scope="module")
def prompts():
    rng = np.random.default_rng(0)
    return [rng.integers(3, VOCABULARY, n).tolist() for n in (6, 1, 11, 4, 11, 8, 2, 15, 3, 9)]


@pytest.mark.parametrize(("kind", "window"), [("llama", None), ("mistral", None), ("mistral", 6)])
def test_answers_equal_the_definition(prompts, kind, window):
    model = build(kind, sliding_window=window)
    free = [step_by_step(model, p, set()) for p in prompts]
    tokens = [t for answer, _ in free for t in answer]
    stop = {int(t) for t in np.bincount(tokens).argsort()[-3:]}  # common tokens, so that rows end at various steps
    expected = [step_by_step(model, p, stop) for p in prompts]
    assert min(margin for _, margin in free + expected) > 1e-3
    answers = [answer for answer, _ in expected]
    lengths = [len(a) for a in answers]
    assert min(lengths) < 4 and len(set(lengths)) > 3
    for batch_tokens in (1, 60, 10_000):
        for pad_id in (0, min(stop)):
            assert generate_answers(model, prompts, NEW, stop, pad_id, batch_tokens) == answers
    assert generate_answers(model, prompts, NEW, (), 0, 10_000) == [answer for answer, _ in free]


def test_rows_that_ended_leave_the_batch(prompts):
    model = build("llama")
    tokens = [t for p in prompts for t in step_by_step(model, p, set())[0]]
    stop = {int(t) for t in np.bincount(tokens).argsort()[-3:]}
    sizes = []
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    generate_answers(model, prompts, NEW, stop, 0, 10_000)
    assert sizes[0] == len(prompts) and sizes[-1] < len(prompts)
    sizes.clear()
    generate_answers(model, prompts, NEW, set(range(VOCABULARY)), 0, 10_000)
    hook.remove()
    assert len(sizes) == generation._LOOK  # all have ended at once: no further step


@pytest.mark.parametrize("new", [1, 2, 5])
def test_max_new_tokens(prompts, new):
    model = build("llama")
    expected = [step_by_step(model, p, (), new)[0] for p in prompts]
    assert generate_answers(model, prompts, new, [], 0, 100) == expected


def with_lora(model):
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(3)
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM, r=2, target_modules=["q_proj", "gate_proj"], init_lora_weights=False
    )
    return get_peft_model(model, config).eval()


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_within_peft(prompts, kind):
    model = with_lora(build(kind))
    expected = [step_by_step(model, p, ())[0] for p in prompts]
    assert generate_answers(model, prompts, NEW, [], 0, 10_000) == expected
    with model.disable_adapter():
        assert generate_answers(model, prompts, NEW, [], 0, 10_000) != expected


def test_a_frozen_head_reads_contiguous_input(prompts):
    """torch.matmul copies a head that needs no gradient once per row of a slice that is not contiguous."""
    model, seen = with_lora(build("llama")), []
    head = model.get_output_embeddings()
    assert not head.weight.requires_grad
    hook = head.register_forward_hook(lambda _module, given, _output: seen.append(given[0].is_contiguous()))
    generate_answers(model, prompts, 3, [], 0, 10_000)
    hook.remove()
    assert len(seen) == 3 and all(seen)
    assert not head._forward_pre_hooks  # what generation added is gone


def test_faults():
    model = build("llama")
    assert generate_answers(model, [], 3, [2], 0, 10) == []
    with pytest.raises(ValueError, match="prompt 1 has no token"):
        generate_answers(model, [[3], []], 3, [2], 0, 10)
    with pytest.raises(ValueError, match="max_new_tokens is 0"):
        generate_answers(model, [[3]], 0, [2], 0, 10)


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@pytest.mark.parametrize("site", ["act", "gate"])
@pytest.mark.parametrize("adapted", [False, True])
def test_answers_equal_the_definition_under_an_intervention(prompts, kind, site, adapted):
    from langneurons.interventions.hook import intervene

    model = with_lora(build(kind, seed=1)) if adapted else build(kind, seed=1)
    stop = {2, 7, 11}
    neurons, values = {0: np.array([1, 7]), 1: np.array([0])}, {0: np.array([9.0, -9.0]), 1: np.array([9.0])}
    plain = [step_by_step(model, p, stop)[0] for p in prompts]
    with neuron_by_neuron(model, site, neurons, values):
        expected, margins = zip(*(step_by_step(model, p, stop) for p in prompts), strict=True)
    assert min(margins) > 1e-3
    for batch_tokens in (1, 60, 10_000):
        with intervene(model, neurons, values, site):
            assert generate_answers(model, prompts, NEW, stop, 0, batch_tokens) == list(expected)
    assert list(expected) != plain == generate_answers(model, prompts, NEW, stop, 0, 10_000)


@contextmanager
def neuron_by_neuron(model, site, neurons, values):
    """An intervention by hooks of this test's own, one write a neuron."""
    layers = (model.get_base_model() if hasattr(model, "get_base_model") else model).model.layers

    def hook_of(index):
        def hook(module, given, output):
            output = output.clone()
            for neuron, value in zip(neurons[index], values[index], strict=True):
                output[..., neuron] = value
            return output

        return hook

    modules = [layers[index].mlp.act_fn if site == "act" else layers[index].mlp.gate_proj for index in neurons]
    handles = [module.register_forward_hook(hook_of(i)) for i, module in zip(neurons, modules, strict=True)]
    yield
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_logit_that_is_not_finite_names_the_prompt(prompts, value):
    """A model of NaN answered with the first token of the vocabulary, and an exact match of 0."""
    model = build("llama")
    names = [f"q{i}" for i in range(len(prompts))]
    with torch.no_grad():
        token = next(t for t in prompts[2] if not any(t in p for i, p in enumerate(prompts) if i != 2))
        model.model.embed_tokens.weight[token] = value
    for batch_tokens in (1, 10_000):
        with pytest.raises(ValueError, match=r"xquad/vi: the best logit is NaN at example q2 .* not finite"):
            generate_answers(model, prompts, NEW, [2], 0, batch_tokens, names, "xquad/vi: the best logit")
    rest = prompts[:2] + prompts[3:]
    assert all(len(answer) <= NEW for answer in generate_answers(model, rest, NEW, [token], 0, 10_000))


def test_what_follows_the_end_of_a_row_may_be_anything(prompts):
    """A row that has ended goes on in its batch; what it makes then has no meaning, and is no error."""
    model = build("llama")
    free = step_by_step(model, prompts[0], set())[0]
    stop = {free[0]}
    expected = [step_by_step(model, p, stop)[0] for p in prompts]
    with torch.no_grad():
        model.model.embed_tokens.weight[free[0]] = float("nan")  # read only after the row has ended
    kept = [i for i, p in enumerate(prompts) if free[0] not in p]
    assert free[0] != 1 and expected[0] == [] and 0 in kept and len(kept) > 3
    answers = generate_answers(model, [prompts[i] for i in kept], NEW, stop, 1, 10_000)
    assert answers == [expected[i] for i in kept]
