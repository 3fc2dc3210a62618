from launch import train
from tests.launch.helpers import run, small_config


def test_runs_are_compared_in_one_table_and_figure(cartpole, tmp_path):
    paths = [
        train.train(small_config(cartpole, name, num_seeds=2, run_dir=str(tmp_path / name)))
        for name in ('bc', 'iql')
    ]
    figure = tmp_path / 'figure.png'
    result = run('launch.compare', *map(str, paths), f'--output={figure}')
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(('BC', 'IQL'))] == ['BC', 'IQL']
    assert figure.stat().st_size > 10_000


def test_what_cannot_be_compared_is_named(cartpole, pendulum, tmp_path):
    paths = [
        train.train(small_config(dataset, 'bc', run_dir=str(tmp_path / name)))
        for name, dataset in (('one', cartpole), ('other', pendulum))
    ]
    result = run('launch.compare', *map(str, paths))
    assert result.returncode == 1
    assert 'different datasets: test/cartpole-v0, test/pendulum-v0' in result.stderr
    (paths[0] / 'summary.json').unlink()
    assert 'is not finished' in run('launch.compare', str(paths[0])).stderr
    assert 'holds no run' in run('launch.compare', str(tmp_path)).stderr
    assert 'no config file none.py' in run('launch.compare', 'none.py').stderr
    assert 'what is to be compared?' in run('launch.compare').stderr
