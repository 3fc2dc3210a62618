"""Tests of launch/run/checkpoints.py."""

import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from data.batches import Form
from data.types import Spec
from launch.cli import UserError
from launch.run import checkpoints, learners, speed
from launch.run.checkpoints import Checkpoints, Damaged
from tests.data.helpers import problem
from tests.launch.helpers import learner_of, small_config

MARK = {'bytes': 0, 'crc32': 0}


def tree(rows: int, devices: int) -> dict:
    """Rows 0, 1, ..., the last repeated to fill a mesh, and a key of each."""
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()[:devices]), ('member',))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec('member'))
    numbers = np.minimum(np.arange(rows + -rows % devices, dtype=np.float32), rows - 1)
    placed = jax.device_put(jnp.stack([numbers, -numbers], 1), sharding)
    keys = jax.device_put(jax.vmap(jax.random.key)(jnp.int32(numbers)), sharding)
    return {'weights': {'kernel': placed}, 'key': keys}


def numbers(found: dict) -> np.ndarray:
    return np.asarray(found['weights']['kernel'])[:, 0]


@pytest.fixture
def saved(tmp_path):
    Checkpoints(tmp_path, 3).save(20, MARK, states=tree(3, 2))
    return tmp_path


def test_a_member_is_stored_once_and_fills_the_mesh_of_whoever_restores(saved):
    item = saved / 'checkpoints' / '20' / 'states'
    stored = jax.tree.leaves(ocp.StandardCheckpointHandler().metadata(item).tree)
    assert {each.shape[0] for each in stored} == {3}
    for devices, rows in ((2, [0, 1, 2, 2]), (1, [0, 1, 2])):
        like = jax.tree.map(lambda x: x if x.dtype != np.float32 else x * 0, tree(3, devices))
        step, trees = Checkpoints(saved, 3).restore_latest(states=like)
        assert step == 20
        np.testing.assert_array_equal(numbers(trees['states']), rows)
        assert trees['states']['weights']['kernel'].sharding == like['weights']['kernel'].sharding
        np.testing.assert_array_equal(
            *(jax.random.key_data(each) for each in (trees['states']['key'], tree(3, devices)['key']))
        )


def test_older_checkpoints_that_hold_the_fill_are_read(tmp_path):
    Checkpoints(tmp_path, 4).save(20, MARK, states=tree(3, 2))
    _, trees = Checkpoints(tmp_path, 3).restore_latest(states=tree(3, 1))
    np.testing.assert_array_equal(numbers(trees['states']), [0, 1, 2])


def test_one_of_other_members_is_said_to_be(tmp_path, saved):
    with pytest.raises(UserError, match=r'checkpoints/20 is of other members .*kernel is float32 '
                       r'\(3, 2\) for float32 \(4, 2\)'):  # fmt: skip
        Checkpoints(saved, 4).restore_latest(states=tree(4, 1))
    Checkpoints(tmp_path / 'four', 4).save(20, MARK, states=tree(4, 1))
    with pytest.raises(UserError, match='checkpoints/20 is of 4 members, its config.json of 3'):
        Checkpoints(tmp_path / 'four', 3).restore_latest(states=tree(3, 1))


def test_one_of_another_network_names_its_arrays(saved):
    like = tree(3, 1)
    like['weights'] = {'kernel': jnp.zeros((3, 5)), 'bias': jnp.zeros((3, 5))}
    said = r'states, it has no weights.bias; weights.kernel is float32 \(3, 2\) for float32 \(3, 5\)\.'
    with pytest.raises(UserError, match=said):
        Checkpoints(saved, 3).restore_latest(states=like)


def cut(file):
    os.truncate(file, file.stat().st_size - 1)


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    'damage, said',
    [
        (cut, r'its file states/_METADATA has [\d,]+ bytes of [\d,]+;'),
        (flip, 'the bytes of its file states/_METADATA have changed;'),
        (os.remove, 'its file states/_METADATA is missing;'),
    ],
)
@pytest.mark.parametrize('listed', [True, False])
def test_damage_is_named(damage, said, listed, saved):
    folder = saved / 'checkpoints' / '20'
    damage(folder / 'states' / '_METADATA')
    if not listed:
        # As in checkpoints that were made before their files were listed.
        (folder / 'files.json').unlink()
        said = said if damage is os.remove else r'states cannot be decoded \(\w+: .+\);'
    with pytest.raises(Damaged, match=f'checkpoint {folder} is damaged: {said}') as raised:
        Checkpoints(saved, 3).restore_latest(states=tree(3, 2))
    assert len(str(raised.value).splitlines()) == 1


def test_reading_changes_nothing_and_takes_what_is_there(tmp_path, monkeypatch):
    """A save that its run replaces while it is read gives way to the next."""
    kept = Checkpoints(tmp_path, 3)
    kept.save(20, MARK, states=tree(3, 2))
    unfinished = tmp_path / 'checkpoints' / '60.orbax-checkpoint-tmp-0'
    unfinished.mkdir()
    check = Checkpoints._check_files

    def while_it_is_replaced(self, folder, names):
        if folder.name == '20':
            kept.save(40, MARK, states=tree(3, 2))
        check(self, folder, names)

    monkeypatch.setattr(Checkpoints, '_check_files', while_it_is_replaced)
    step, _ = Checkpoints(tmp_path, 3).restore_latest(states=tree(3, 1))
    assert step == 40 and checkpoints.steps(tmp_path) == [40] and unfinished.exists()


def test_all_that_are_kept_but_those_that_go_meanwhile(tmp_path, monkeypatch):
    kept = Checkpoints(tmp_path, 3, keep=3)
    for step in (20, 40, 60):
        kept.save(step, MARK, states=tree(3, 2))
    read = Checkpoints(tmp_path, 3)
    assert [step for step, _ in read.restore_all(states=tree(3, 2))] == [20, 40, 60]
    cut(tmp_path / 'checkpoints' / '20' / 'states' / '_METADATA')
    with pytest.raises(Damaged, match='remove it to go on from that after 60'):
        read.restore_all(states=tree(3, 2))
    monkeypatch.setattr('time.sleep', lambda _: shutil.rmtree(tmp_path / 'checkpoints' / '20'))
    assert [step for step, _ in read.restore_all(states=tree(3, 2))] == [40, 60]


def test_members_go_on_on_another_number_of_devices(tmp_path, monkeypatch):
    """Three of them: 10 updates on two devices and 10 on one are 20 on two, bit for bit."""
    spec = Spec(4, 2, discrete=False)
    data = speed.random_data(Form(), spec, 100)

    def trained(states, updates):
        learner = learner_of(small_config('', 'bc', num_seeds=3), problem(spec))
        states = learner.init() if states is None else states
        return learner.train_on_device(states, learners.place(data, learner.mesh), updates)

    begun = trained(None, 10)
    Checkpoints(tmp_path, 3).save(10, MARK, states=begun)
    whole = trained(begun, 10)
    one = jax.local_devices()[:1]
    monkeypatch.setattr('jax.local_devices', lambda: one)
    like = learner_of(small_config('', 'bc', num_seeds=3), problem(spec)).init()
    _, trees = Checkpoints(tmp_path, 3).restore_latest(states=like)
    pairs = zip(jax.tree.leaves(whole), jax.tree.leaves(trained(trees['states'], 10)), strict=True)
    for a, b in pairs:
        a, b = (jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
                for x in (a, b))  # fmt: skip
        assert (len(a), len(b)) == (4, 3)
        np.testing.assert_array_equal(a[:3], b)
