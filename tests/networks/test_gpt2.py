import jax
import jax.numpy as jnp
import numpy as np
import pytest

from networks.gpt2 import GPT2

BATCH, TOKENS, SIZE = 3, 7, 8


@pytest.fixture(scope='module')
def model():
    module = GPT2(num_layers=2, num_heads=2)
    tokens = np.random.default_rng(0).standard_normal((BATCH, TOKENS, SIZE), np.float32)
    mask = np.ones((BATCH, TOKENS), bool)
    params = jax.jit(module.init)(jax.random.key(0), tokens, mask)
    return module, params, tokens, mask


def layer_norm(x, p):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * p['scale'] + p['bias']


def reference(params, tokens, mask):
    """GPT-2's forward pass in float64, one head, one token after another."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params['params'])
    x = tokens.astype(np.float64)
    for block in (p['Block_0'], p['Block_1']):
        y = layer_norm(x, block['LayerNorm_0'])
        attention = block['SelfAttention_0']
        heads = attention['DenseGeneral_0']
        q, k, v = np.moveaxis(np.einsum('bti,icnh->btcnh', y, heads['kernel']) + heads['bias'], 2, 0)
        attended = np.zeros_like(q)
        for b, t, n in np.ndindex(*q.shape[:3]):
            seen = [s for s in range(t + 1) if mask[b, s]]
            if seen:
                score = np.array([q[b, t, n] @ k[b, s, n] for s in seen]) / np.sqrt(q.shape[-1])
                weights = np.exp(score - score.max())
                attended[b, t, n] = (weights / weights.sum()) @ v[b, seen, n]
        out = attention['Dense_0']
        x = x + attended.reshape(x.shape) @ out['kernel'] + out['bias']
        y = layer_norm(x, block['LayerNorm_1'])
        hidden = y @ block['Dense_0']['kernel'] + block['Dense_0']['bias']
        # The approximation by tanh that GPT-2 uses.
        hidden *= 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
        x = x + hidden @ block['Dense_1']['kernel'] + block['Dense_1']['bias']
    return layer_norm(x, p['LayerNorm_0'])


def test_it_equals_the_formulas_in_float64(model):
    module, params, tokens, mask = model
    # Large weights, so that the attention is far from uniform.
    params = jax.tree.map(lambda leaf: leaf + 20 * jnp.where(leaf.ndim > 1, leaf, 0), params)
    hidden = mask.copy()
    hidden[1, :3] = False
    found = module.apply(params, tokens, hidden)
    expected = reference(params, tokens, hidden)
    np.testing.assert_allclose(found[hidden], expected[hidden], rtol=2e-4, atol=2e-4)


def test_the_path_with_dropout_computes_the_same_attention(model):
    """At a rate so small that nothing is dropped."""
    module, params, tokens, mask = model
    hidden = mask.copy()
    hidden[1, :3] = False
    training = GPT2(2, 2, dropout_rate=1e-12).apply(
        params, tokens, hidden, training=True, rngs={'dropout': jax.random.key(0)}
    )
    np.testing.assert_allclose(
        training[hidden], module.apply(params, tokens, hidden)[hidden], rtol=1e-5, atol=1e-6
    )


def test_dropout_is_drawn_in_training_only(model):
    module, params, tokens, mask = model

    def train(seed):
        return module.apply(
            params, tokens, mask, training=True, rngs={'dropout': jax.random.key(seed)}
        )

    assert np.array_equal(train(0), train(0)) and not np.allclose(train(0), train(1))
    assert np.array_equal(module.apply(params, tokens, mask), module.apply(params, tokens, mask))


@pytest.mark.parametrize('at', range(TOKENS - 1))
def test_the_future_changes_nothing_bit_for_bit(model, at):
    module, params, tokens, mask = model
    other = tokens.copy()
    other[:, at + 1 :] = np.random.default_rng(1).standard_normal(other[:, at + 1 :].shape) * 100
    run = jax.jit(module.apply)
    before, after = run(params, tokens, mask), run(params, other, mask)
    np.testing.assert_array_equal(before[:, : at + 1], after[:, : at + 1])
    assert not np.array_equal(before[:, at + 1 :], after[:, at + 1 :])


def test_hidden_tokens_change_nothing(model):
    module, params, tokens, mask = model
    hidden = mask.copy()
    hidden[:, :3] = False
    other = np.where(hidden[..., None], tokens, 1e6).astype(np.float32)
    np.testing.assert_array_equal(
        module.apply(params, tokens, hidden)[:, 3:], module.apply(params, other, hidden)[:, 3:]
    )


def test_weights_that_write_to_the_stream_begin_smaller():
    module = GPT2(num_layers=8, num_heads=2)
    params = jax.jit(module.init)(
        jax.random.key(0), jnp.zeros((1, 2, 64)), jnp.ones((1, 2), bool)
    )['params']
    block = params['Block_3']
    reads = [block['SelfAttention_0']['DenseGeneral_0'], block['Dense_0']]
    writes = [block['SelfAttention_0']['Dense_0'], block['Dense_1']]
    for layer in reads:
        assert np.std(layer['kernel']) == pytest.approx(0.02, rel=0.05)
    for layer in writes:
        assert np.std(layer['kernel']) == pytest.approx(0.02 / 4, rel=0.05)
    assert not any(np.any(layer['bias']) for layer in reads + writes)
