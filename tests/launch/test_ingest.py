"""The program that makes datasets of tables."""

import minari
import numpy as np
import pytest

from data import loading
from data.ingestion import d4rl
from data.types import Spec
from launch import train
from launch.configs import bc
from launch.report import summary
from tests.data.ingestion.helpers import ID, TABLE, write_csv
from tests.data.ingestion.test_d4rl import arrays, write
from tests.launch.helpers import program

FLAGS = {
    'dataset': ID, 'episode': 'patient', 'order': 'visit', 'observations': 'age, l*', 'action': 'drug',
    'reward': 'alive', 'end': 'truncated',
}  # fmt: skip


def ingest(file, **changes):
    given = {'file': file} | FLAGS | changes
    return program(
        'launch.ingest',
        *(f'--{name}={value}' for name, value in given.items() if value is not None),
    )


def test_it_says_what_was_done_and_where_the_dataset_is(storage, tmp_path):
    result = ingest(write_csv(tmp_path / 'visits.csv', TABLE))
    assert result.returncode == 0, result.stderr
    *notes, last = result.stdout.splitlines()
    data = loading.load(ID)
    assert [note.strip(' .') for note in notes] == list(data.problem.columns.notes)
    assert last == f'{ID} is built: {storage / ID}'
    assert '--episode=patient' in data.metadata['code_permalink']
    assert 'reading visits.csv: 100%' in result.stderr


def test_bounds_and_options_are_understood(storage, tmp_path):
    columns = TABLE | {
        'drug': [1, 2, 3, 4, 5],
        'ward': list('abcab'),
        'seen': ['2026-01-01'] * 4 + [''],
    }
    file = write_csv(tmp_path / 'visits.csv', columns)
    options = {'categories': 'ward', 'times': 'seen', 'fill': 'indicator', 'discount_time': 'visit'}
    result = ingest(
        file, actions_are='continuous', low='-1', high='6', observations=None, **options
    )
    assert result.returncode == 0, result.stderr
    problem = loading.load(ID).problem
    assert [each.name for each in problem.columns.features] == [
        'ward=a', 'ward=b', 'ward=c', 'seen', 'seen missing'
    ]  # fmt: skip
    assert (problem.action_map.low, problem.action_map.high) == (-1, 6)


def test_a_d4rl_file_is_known_by_its_layout(storage, tmp_path):
    write(tmp_path / 'hopper.hdf5', arrays())
    given = dict.fromkeys(FLAGS) | {'dataset': 'd4rl/hopper/made-v2'}
    result = ingest(tmp_path / 'hopper.hdf5', **given, env_id='Hopper-v5')
    assert result.returncode == 0, result.stderr
    assert '12 rows: 10 steps in 3 episodes' in result.stdout
    assert loading.load('d4rl/hopper/made-v2').problem.scores == pytest.approx(
        (-20.27, 3234.3), abs=0.1
    )
    given['dataset'] = 'd4rl/hopper/other-v2'
    result = ingest(tmp_path / 'hopper.hdf5', **given, env_id='Hopper-v5', low='-1')
    assert result.returncode == 1 and 'bounds of actions are those of Hopper-v5' in result.stderr
    result = ingest(tmp_path / 'hopper.hdf5', **given)
    assert result.returncode == 0 and 'bounds measured' in result.stdout
    assert loading.load('d4rl/hopper/other-v2').problem.env_spec is None


def test_hdf5_with_columns_named_is_a_table(storage, tmp_path):
    write(tmp_path / 'hopper.hdf5', arrays(infos=None, who=[0] * 12))
    result = ingest(tmp_path / 'hopper.hdf5', episode='who', order=None, observations='observations_*',
                    action='actions_*', reward='rewards', end=None, terminal='timeouts')  # fmt: skip
    assert result.returncode == 1 and "go on after a row that 'timeouts' marks" in result.stderr


@pytest.mark.parametrize(
    ('changes', 'problem'),
    [
        ({'file': None}, '--file and --dataset are needed'),
        ({'dataset': None}, '--file and --dataset are needed'),
        ({'reward': None, 'action': ''}, '--action and --reward must say which columns'),
        ({'observations': None}, '--observations must say which columns'),
        ({'env_id': 'Hopper-v5'}, '--env_id is for HDF5 files in the layout of D4RL'),
        ({'end': None}, 'how do episodes end'),
        ({'low': 'small'}, '--low=small: finite numbers are needed'),
        ({'high': '1,inf'}, '--high=1,inf: finite numbers are needed'),
        ({'dataset': 'local/visits-v0'}, 'are recipes'),
        ({'action': 'dose'}, "there is no column 'dose'"),
    ],
)
def test_what_cannot_be_ingested_is_one_sentence(storage, tmp_path, changes, problem):
    given = {'file': write_csv(tmp_path / 'visits.csv', TABLE)} | changes
    result = ingest(**given)
    assert result.returncode == 1 and problem in result.stderr
    assert result.stderr.splitlines()[-1].startswith('error: ')
    assert not storage.exists() or not any(storage.iterdir())


def test_an_unknown_choice_is_refused_with_those_there_are(storage, tmp_path):
    result = ingest(write_csv(tmp_path / 'visits.csv', TABLE), fill='backward')
    assert result.returncode and 'forward|mean|indicator' in result.stderr


def test_human_demonstrations_of_a_hand_become_a_dataset_and_a_policy(storage, tmp_path):
    """25 episodes of 39 and 28 numbers, none of them terminated, some longer than the time limit."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(150, 300, 25)
    rows = lengths.sum()
    made = {
        'observations': rng.standard_normal((rows, 39)).astype(np.float32),
        'actions': rng.uniform(-1, 1, (rows, 28)).astype(np.float32),
        'rewards': rng.uniform(-1, 20, rows).astype(np.float32),
        'terminals': np.zeros(rows, bool),
        'timeouts': np.isin(np.arange(rows), np.cumsum(lengths) - 1),
        'infos/qpos': rng.standard_normal((rows, 30)),
        'infos/env_state/door_body_pos': rng.standard_normal((rows, 3)),
    }
    d4rl.convert(write(tmp_path / 'file.hdf5', made), ID, 'AdroitHandDoor-v1')
    data = loading.load(ID)
    (first,) = minari.load_dataset(ID).iterate_episodes([0])
    kept = first.infos['env_state']['door_body_pos']
    np.testing.assert_array_equal(kept, made['infos/env_state/door_body_pos'][: lengths[0] - 1])
    np.testing.assert_array_equal(data.episode_lengths, lengths - 1)
    assert data.problem.spec == Spec(39, 28, False) and data.transitions.discount.all()
    config = bc.get_config('adroit')
    config.update_from_flattened_dict({
        'dataset': ID, 'run_dir': str(tmp_path / 'run'), 'num_updates': 4, 'eval_interval': 4,
        'log_interval': 4, 'final_eval_episodes': 1, 'network.hidden_sizes': (8,),
    })  # fmt: skip
    (setting,) = summary.read(train.train(config))['settings']
    assert np.isfinite(setting['return']['mean'])
