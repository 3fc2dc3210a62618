"""Tests of launch/run/processes.py and spread.py, as far as one process can tell."""

import socket
import threading
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from launch.cli import UserError
from launch.run import loop, processes, spread
from launch.run.members import Member
from launch.run.turns import Wait
from tests.launch.helpers import program


@pytest.mark.parametrize(
    'arguments, said',
    [
        (['--distributed', '--process_id=0'], '--distributed takes from the cluster what --coordinator'),
        (['--process_id=0'], '--coordinator and --num_processes not given: each of several processes'),
        (['--coordinator=here:80', '--num_processes=2'], '--process_id not given'),
        (
            ['--coordinator=here', '--num_processes=2', '--process_id=1'],
            '--coordinator=here: HOST:PORT of process 0 is needed.',
        ),
        (
            ['--coordinator=here:66000', '--num_processes=2', '--process_id=1'],
            '--coordinator=here:66000: HOST:PORT',
        ),
        (
            ['--coordinator=here:80', '--num_processes=2', '--process_id=2'],
            '--process_id=2 of --num_processes=2; valid: from 0 to 1.',
        ),
    ],
)
def test_flags_that_do_not_go_together(arguments, said):
    ended = program('launch.train', *arguments)
    assert ended.returncode == 1 and ended.stderr.startswith('error: ') and said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_said_to_be():
    with socket.create_server(('', 0)) as taken:
        where = f'here:{taken.getsockname()[1]}'
        there = (f'--coordinator={where}', '--num_processes=2', '--process_id=0')
        ended = program('launch.train', *there)
    assert ended.stderr.startswith(f'error: --coordinator={where}: process 0 cannot listen there')


def test_where_no_cluster_is_detected_there_is_another_way(monkeypatch):
    def initialize(*args, **kwargs):
        raise ValueError('coordinator_address should be defined.')

    monkeypatch.setattr(jax.distributed, 'initialize', initialize)
    ended = program('launch.train', '--distributed')
    assert ended.stderr.startswith('error: --distributed: jax detects no SLURM, TPU pod')
    assert '--coordinator' in ended.stderr and len(ended.stderr.splitlines()) == 1


def test_processes_that_do_not_all_come_are_not_waited_for(monkeypatch):
    gone, said = threading.Event(), []

    def leave(code, text):
        said.append((code, text))
        gone.set()

    monkeypatch.setattr(processes, '_MEETING', 0.01)
    monkeypatch.setattr(processes, '_leave', leave)
    monkeypatch.setattr(jax.distributed, 'initialize', lambda *args, **kwargs: gone.wait(10))
    processes._meet(False, {'coordinator': 'here:80', 'num_processes': 2, 'process_id': 1})
    ((code, text),) = said
    assert code == 1 and text.startswith('error: not all processes were there within 0.01 seconds')
    assert '--coordinator=here:80' in text


def test_one_process_hears_itself_and_keeps_what_it_has():
    assert processes.gather({'value': 0.1}) == [{'value': 0.1}]
    assert processes.by_first(lambda: 3) == 3
    processes.agree({'config': {'seed': 0}})
    mesh = spread.mesh(3)
    assert list(mesh.devices) == jax.local_devices()
    rows = np.arange(8.0, dtype=np.float32).reshape(4, 2)
    placed = spread.out({'rows': rows}, NamedSharding(mesh, PartitionSpec('member')))
    assert spread.own(placed, mesh)['rows'] is placed['rows']
    np.testing.assert_array_equal(spread.whole(placed)['rows'], rows)


def test_whoever_fails_is_heard_whatever_the_others_exchange(monkeypatch):
    monkeypatch.setattr(processes, '_exchange', lambda content: [content, b'!the disk is full'])
    for exchange, content in ((processes.gather, 1), (processes.exchange, b'1')):
        with pytest.raises(UserError, match='^in process 1: the disk is full$'):
            exchange(content)


def test_whoever_fails_does_not_wait_for_ever_until_it_is_heard(monkeypatch):
    class Flags(dict):
        distributed = False

    gone, said = threading.Event(), []

    def leave(code, text):
        said.append((code, text))
        gone.set()

    none = SimpleNamespace(value=None)
    given = Flags(coordinator=none, num_processes=none, process_id=none)
    monkeypatch.setattr(processes.flags, 'FLAGS', given)
    monkeypatch.setattr(processes, '_HEARING', 0.01)
    monkeypatch.setattr(processes, '_leave', leave)
    monkeypatch.setattr(processes, '_exchange', lambda content: gone.wait(10) and [content])
    with pytest.raises(UserError, match='^the disk is full$'), processes.joined():
        raise UserError('the disk is full')
    assert said == [(1, 'error: the disk is full')]


def test_what_fails_in_the_midst_of_a_chunk_is_raised_where_processes_meet():
    def failing():
        yield Wait(lambda: True, 0.5)
        raise UserError('broken')

    evaluation = loop._Evaluation(20, failing())
    for _ in range(3):
        assert evaluation.take_turn(patient=False) in (0.0, 0.5)
    with pytest.raises(UserError, match='^broken$'):
        evaluation.over()


def test_processes_that_differ_are_told_in_what(monkeypatch):
    heard = [{'config': {'seed': 0, 'ope': {'seed': 0}}}, {'config': {'seed': 0, 'ope': {'seed': 1}}}]
    monkeypatch.setattr(processes, 'gather', lambda facts: heard)
    with pytest.raises(UserError, match='not the same in process 0 and in process 1: config.ope.seed;'):
        processes.agree(heard[0])


def test_a_process_has_at_least_a_member_and_their_devices_are_in_their_order(monkeypatch):
    devices = [[SimpleNamespace(id=f'{process}{i}') for i in range(4)] for process in range(3)]
    monkeypatch.setattr(jax, 'process_count', lambda: 3)
    monkeypatch.setattr(jax, 'local_devices', lambda process: devices[process])
    monkeypatch.setattr(spread, 'Mesh', lambda found, names: [device.id for device in found])
    assert spread.mesh(5) == ['00', '01', '10', '11', '20', '21']
    assert len(spread.mesh(50)) == 12
    with pytest.raises(UserError, match='a run of 2 members is trained by at most .* not by 3'):
        spread.mesh(2)


def test_what_processes_found_stands_as_one_process_finds_it(monkeypatch):
    """Three members, of two processes, asked for two returns."""
    def judged(target, *seeds):
        return [[{'target_return': target}, seed, {'return': target + seed}] for seed in seeds]

    parts = [judged(10.0, 0, 1) + judged(20.0, 0, 1), judged(10.0, 2) + judged(20.0, 2)]
    monkeypatch.setattr(processes, 'gather', lambda own: parts)
    found = loop._collected([], 3)
    assert found[:1] == [(Member({'target_return': 10.0}, 0), {'return': 10.0})]
    assert [measured['return'] for _, measured in found] == [10.0, 11.0, 12.0, 20.0, 21.0, 22.0]
