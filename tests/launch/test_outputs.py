"""Every program says that it cannot write, with the path and the reason, before it works."""

import errno
from pathlib import Path

import pytest

from data import loading
from launch import cli, experiments
from launch.cli import UserError
from launch.run import exporting, policies
from tests.launch.helpers import program, small_config

LONG = 'a' * 300
# Programs by the flag that names what they write, with what else they need.
OUTPUTS = {
    'launch.train': ('--config.run_dir={}', ['--config={config}']),
    'launch.train_online': ('--config.run_dir={}', ['--config=launch/configs/online.py:sac',
                                                    '--config.env_id=Pendulum-v1']),
    'launch.describe': ('--output={}.png', ['--dataset=test/none-v0']),
    'launch.compare': ('--output={}.png', ['{config}']),
    'launch.ope': ('--config.output={}', ['--config=launch/configs/ope.py:sepsis', 'run']),
    'launch.evaluate': ('--video={}.gif', ['--run_dir=run']),
    'launch.replay': ('--video={}.gif', ['--dataset=test/none-v0']),
    'launch.export': ('--output={}', ['--run_dir=run']),
    'launch.benchmark': ('--json={}', []),
}  # fmt: skip
PLACES = {
    'below a file': ('{path}/file/new/output', 'Not a directory'),
    'name too long': ('{path}/' + LONG, 'File name too long'),
    'below nothing that can be': ('/proc/new/output', 'No such file or directory'),
}


def begun(*arguments, **options):
    raise AssertionError('the work began')


@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('name', OUTPUTS)
def test_outputs_are_tried_before_the_work(tmp_path, monkeypatch, name, place):
    for module, work in ((loading, 'load'), (policies, 'restore'), (policies, 'of_run')):
        monkeypatch.setattr(module, work, begun)
    monkeypatch.setattr(exporting, 'find_spec', lambda name: True)
    (tmp_path / 'file').touch()
    config = tmp_path / 'mine.py'
    config.write_text(cli.as_python(small_config('test/none-v0', 'bc')))
    before = sorted(tmp_path.iterdir())
    output, problem = PLACES[place]
    flag, others = OUTPUTS[name]
    monkeypatch.chdir(cli._CONFIGS.parents[1])
    result = program(
        name, *(each.format(config=config) for each in others), flag.format(output.format(path=tmp_path))
    )
    assert result.returncode == 1
    assert problem in result.stderr or 'there is no directory' in result.stderr
    assert result.stderr.startswith('error: ') and len(result.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize('arguments', [
    ('launch.collect', '--recipe=local/pointmaze/umaze-20-v0'),
    ('launch.ingest', '--file=visits.csv', '--dataset=clinic/visits-v0', '--episode=a', '--action=b',
     '--observations=c', '--reward=d'),
    ('launch.describe', '--dataset=clinic/visits-v0'),
], ids=lambda arguments: arguments[0])  # fmt: skip
def test_a_storage_that_is_none_is_one_sentence(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'visits.csv').write_text('a,b,c,d\n1,2,3,4\n')
    (tmp_path / 'file').touch()
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(tmp_path / 'file' / 'minari'))
    result = program(*arguments)
    assert result.returncode == 1
    assert result.stderr == f'error: {tmp_path}/file/minari: Not a directory.\n'


def test_a_config_that_cannot_be_read_is_one_sentence():
    result = program('launch.train', f'--config={LONG}.py')
    assert result.returncode == 1
    assert result.stderr == f'error: {LONG}.py: File name too long.\n'


def test_a_figure_of_no_kind_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, 'RESULTS', tmp_path)
    monkeypatch.setattr(experiments, 'trained', begun)
    with pytest.raises(UserError, match='figure.xyz: the name of a figure ends in .*png'):
        experiments.compare([None], 'figure.xyz')
    (tmp_path / 'figure.png').mkdir()
    with pytest.raises(IsADirectoryError):
        experiments.compare([None], 'figure.png')


@pytest.mark.parametrize(
    ('error', 'said'),
    [
        (PermissionError(errno.EACCES, 'Permission denied', '/data/x'), '/data/x: Permission denied.'),
        (OSError(errno.EXDEV, 'Invalid cross-device link', 'a', None, 'b'),
         'a and b: Invalid cross-device link.'),
        (OSError(errno.ENOSPC, 'No space left on device', b'/data/x'),
         '/data/x: No space left on device.'),
        (ConnectionResetError(errno.ECONNRESET, 'Connection reset\nby peer'),
         'ConnectionResetError: [Errno 104] Connection reset by peer (' + __file__ + ', line '),
        (OSError('of a library'), 'OSError: of a library (' + __file__ + ', line '),
    ],
)  # fmt: skip
def test_an_error_of_the_system_is_one_sentence(monkeypatch, error, said):
    def fail(argv):
        raise error

    monkeypatch.setattr(cli.app, 'run', lambda main, **parser: fail([]))
    for kind in ('multi_string', 'bool'):
        monkeypatch.setattr(cli.flags, f'DEFINE_{kind}', lambda *arguments: None)
    with pytest.raises(SystemExit) as raised:
        cli.start(fail)
    assert raised.value.code.startswith(f'error: {said}')
    assert '\n' not in raised.value.code


def test_a_run_that_is_only_read_is_not_evaluated_for_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(policies, 'restore', begun)
    (tmp_path / 'evaluation-seed1.json').mkdir()
    (tmp_path / 'evaluation-exact.json').mkdir()
    for more in ((), ('--exact',)):
        result = program('launch.evaluate', f'--run_dir={tmp_path}', *more)
        assert result.returncode == 1
        assert result.stderr.endswith('.json: Is a directory.\n')


@pytest.mark.parametrize('name', sorted(
    file.stem for file in Path(experiments.__file__).parent.glob('[!_]*.py')
))  # fmt: skip
def test_every_experiment_tries_its_figure_first(tmp_path, monkeypatch, name):
    (tmp_path / 'file').touch()
    monkeypatch.setattr(experiments, 'RESULTS', tmp_path / 'file' / 'results')
    monkeypatch.setattr(experiments, 'trained', begun)
    monkeypatch.setattr(loading, 'load', begun)
    result = program(f'launch.experiments.{name}')
    assert result.returncode == 1
    assert result.stderr == f'error: {tmp_path}/file: Not a directory.\n'
