"""Bad command lines of every program, and config files of one's own: one sentence each."""

import ast
from pathlib import Path

import pytest
from absl import app, flags

from launch.configs import iql, online
from tests.launch.helpers import ROOT, program
from tests.launch.test_values import EACH, must_be_refused, no_data

__all__ = ['no_data']
PROGRAMS = sorted(
    '.'.join(file.relative_to(ROOT).with_suffix('').parts)
    for folder in ('launch', 'launch/experiments')
    for file in (ROOT / folder).glob('[!_]*.py') if file.stem != 'cli'
)  # fmt: skip
WITH_ARGUMENTS = {
    'launch.behaviour_policies', 'launch.compare', 'launch.experiments.antmaze_and_ogbench',
    'launch.experiments.d4rl_scores', 'launch.experiments.full_size',
    'launch.experiments.lean_protocol', 'launch.experiments.preferences',
    'launch.experiments.tuning_budget', 'launch.ope',
}  # fmt: skip
# What comes first, so that the flag is what is wrong.
NEEDED = {'launch.export': ['--run_dir=none'], 'launch.ope': ['none']}
BAD = {
    'int': ('abc', '1.5', '', 'nan', '-1', '1e400'),
    'float': ('abc', '', 'nan', 'inf'),
    'bool': ('maybe', '2'),
    'string enum': ('abc', ''),
}
TEXTS = ('abc', '', 'nan', '-1')


def said(module: str, *arguments: str) -> str:
    """The one sentence in which a program ends."""
    result = program(module, *NEEDED.get(module, []), *arguments)
    assert result.returncode == 1, (module, arguments)
    sentence, *more = result.stderr.strip().splitlines()
    assert sentence.startswith('error: ') and not more, (module, arguments, result.stderr)
    return sentence


def keys():
    """Every key of a config, with its program, its --config and its value there."""
    files = Path(iql.__file__).parent
    found = {}
    for name, _, run, own in EACH:
        file, _, domain = name.partition(':')
        module = {'train': 'launch.train', 'train_online': 'launch.train_online'}
        module = module.get(run.__name__, 'launch.ope')
        for path, value in own.items():
            found.setdefault((module, path), (f'--config={files / file}.py:{domain}', value))
    return found


@pytest.mark.parametrize('module', ['launch.train', 'launch.train_online', 'launch.ope'])
def test_bad_values_of_keys(module):
    tried = {path: each for (program, path), each in keys().items() if program == module}
    assert len(tried) > 20
    for path, (config, default) in tried.items():
        for text in TEXTS:
            dataset = [] if path == 'dataset' else ['--config.dataset=test/none-v0']
            if module == 'launch.train_online':
                dataset = []
            sentence = said(module, config, *dataset, f'--config.{path}={text}')
            if must_be_refused(path, default, as_read(default, text)):
                assert path.rpartition('.')[2] in sentence.partition('valid')[0], sentence
                assert 'reached' not in sentence and 'holds no run' not in sentence


def as_read(default, text: str):
    """A text as the value of a key, if it can be one of its type."""
    if isinstance(default, str):
        return text
    try:
        value = float(text) if text == 'nan' else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return (text,) if isinstance(default, tuple) else text
    return (value,) if isinstance(default, tuple) else value


def flags_of(module: str) -> dict[str, str]:
    """The types of a program's own flags by their names."""
    before, found = set(flags.FLAGS), {}

    def run(*_, **__):
        found.update({name: flags.FLAGS[name].flag_type() for name in set(flags.FLAGS) - before})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, 'run', run)
        program(module)
    return {name: kind for name, kind in found.items() if name not in ('config', 'import')}


@pytest.mark.parametrize('module', PROGRAMS)
def test_bad_flags(module):
    own = flags_of(module)
    assert own or 'experiments' in module or module == 'launch.behaviour_policies'
    for name, kind in own.items():
        for text in BAD.get(kind, ('', 'no/such thing', 'x' * 5_000)):
            sentence = said(module, f'--{name}={text}')
            assert kind not in BAD or f'--{name}={text}' in sentence, sentence
    assert "'no_such_flag'" in said(module, '--no_such_flag=1')
    assert '--import=no_such_package: it cannot be' in said(module, '--import=no_such_package')
    more = said(module, 'more')
    assert ("unexpected argument 'more'" in more) != (module in WITH_ARGUMENTS)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--config.num_updates=1.5'], '--config.num_updates=1.5: a whole number is needed.'),
        (['--config.num_updates'], 'Missing value for flag --config.num_updates.'),
        (['--config.hparams=3'], 'holds keys; each is given alone, as --config.hparams.KEY=VALUE.'),
        (['--config.resume=maybe'], '--config.resume=maybe: True or False is needed.'),
        (['--config.resume', 'False'], "unexpected argument 'False'"),
        (['--config.sweep.gamma=' + '(' * 9_000], 'config.sweep.gamma'),
        (['--config.dataset=a\nb'], "config.dataset is 'a\\nb'; valid: a printable text."),
        (['--config.seed=3', '--config=FILES/bc.py'], 'before a value for --config was specified.'),
        (['--config=FILES'], 'no config file '),
        (['--config=' + 'x' * 5_000], 'File name too long'),
        (['--config.run_dir=' + 'x' * 5_000], 'File name too long'),
        (['--config.dataset=' + 'x' * 5_000], 'File name too long'),
        (['--config=FILES/iql.py:sepsis', '--config.algorithm=cql'],
         'config.hparams lacks bc_warm_start_updates, cql_alpha, target_gap, which cql needs, and has '),
        (['--config=FILES/discrete_cql.py', '--config.algorithm=dqn'],
         'config.hparams has cql_alpha, which dqn does not know; launch/configs/dqn.py is its config.'),
        (['--config.num_seeds=1e5', '--config.sweep.gamma=0.9,0.99'], 'make 200,000 members; valid:'),
        (['--config.seed=4294967295', '--config.num_seeds=2'], 'config.seed is 4294967295'),
        (['--flagfile=none'], 'Unable to open flagfile'),
    ],
)  # fmt: skip
def test_bad_command_lines_of_training(arguments, words):
    files = str(Path(iql.__file__).parent)
    assert words in said('launch.train', *(each.replace('FILES', files) for each in arguments))


@pytest.mark.parametrize(('file', 'module', 'words'), [
    ('ope', 'launch.train', 'it is for launch.ope.'),
    ('online', 'launch.train', 'it is for launch.train_online.'),
    ('iql', 'launch.train_online', 'it is for launch.train.'),
    ('ope', 'launch.train_online', 'it is for launch.ope.'),
    ('iql', 'launch.ope', 'launch.ope takes --config=launch/configs/ope.py:DOMAIN.'),
    ('online', 'launch.ope', 'launch.ope takes --config=launch/configs/ope.py:DOMAIN.'),
    ('ope', 'launch.compare', 'it is for launch.ope.'),
])  # fmt: skip
def test_the_config_of_another_program(file, module, words):
    path = f'{Path(iql.__file__).parent / file}.py'
    assert words in said(module, path if module == 'launch.compare' else f'--config={path}')


GOOD = 'from launch.configs import iql\ndef get_config():\n    c = iql.get_config("sepsis")\n'
FILES = {
    'def get_config(:': 'SyntaxError in line 1: ',
    'x = 1\ny = x / 0': 'ZeroDivisionError in line 2: division by zero.',
    'import no_such_package': "ModuleNotFoundError in line 1: No module named 'no_such_package'.",
    'x = 1': 'has no function get_config.',
    'get_config = 1': 'TypeError: ',
    'def get_config(a, b):\n    pass': 'TypeError: get_config() missing 2 required',
    'raise SystemExit': 'SystemExit in line 1: ',
    'def get_config():\n    return {}': 'returns a dict; an ml_collections.ConfigDict is needed.',
    '\0': 'null bytes.',
    GOOD + '    c.typo = 3\n    return c': "unknown key 'typo' in config; valid ones: ",
    GOOD + '    del c.seed\n    return c': 'config lacks seed.',
    GOOD + '    del c.network\n    return c': 'config lacks network.',
    GOOD + '    del c.hparams.gamma\n    return c': 'config.hparams lacks gamma, which iql needs;',
    GOOD + '    c.network.depth = 3\n    return c': 'config.network has depth, which iql does not know;',
    GOOD + '    del c.hparams\n    c.hparams = 3\n    return c': 'config.hparams is 3; valid: the keys ',
    GOOD + '    del c.sweep\n    c.sweep = ()\n    return c': 'config.sweep is (); valid: the keys ',
    GOOD + '    c.ope = None\n    return c': 'config.ope is None; valid: the keys ',
    GOOD + '    return type(c)()': 'config.algorithm: unknown algorithm None; valid: awac, bc, ',
}


@pytest.mark.parametrize(('text', 'words'), FILES.items(), ids=range(len(FILES)))
def test_a_broken_config_file(text, words, tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(text)
    assert words in said('launch.train', f'--config={file}')
    assert words in said('launch.compare', str(file))


def test_a_whole_number_may_be_written_like_1e6():
    printed = program('launch.train', '--config.num_updates=2e6', '--print_config')
    assert "'num_updates': 2000000," in printed.stdout
    assert said('launch.train', '--config.num_updates=2e6') == 'error: reached'


def test_what_follows_a_key_does_not_set_it():
    def printed(*arguments: str) -> dict:
        space = {}
        exec(program('launch.train', *arguments, '--print_config').stdout, space)
        return space['get_config']()

    usual = iql.get_config('sepsis')
    assert usual.hparams.actor_decay_updates == usual.num_updates == 2_500
    own = printed('--config.hparams.actor_decay_updates=20', '--config.ope.seed=4',
                  '--config.ope.hparams.gamma=0.5')  # fmt: skip
    assert (own.hparams.actor_decay_updates, own.num_updates) == (20.0, 2_500)
    assert (own.ope.seed, own.seed, own.ope.hparams.gamma, own.hparams.gamma) == (4, 0, 0.5, 0.99)
    led = printed('--config.num_updates=5e3', '--config.seed=7', '--config.hparams.gamma=0.9')
    assert (led.hparams.actor_decay_updates, led.ope.seed, led.ope.hparams.gamma) == (5_000.0, 7, 0.9)
    # What is printed goes on following.
    led.num_updates, led.seed = 6_000, 8
    assert (led.hparams.actor_decay_updates, led.ope.seed) == (6_000.0, 8)
    for text, value in (('1e6', 1e6), ('inf', float('inf')), ('0.5', 0.5)):
        once = printed(f'--config.hparams.actor_decay_updates={text}')
        assert (once.hparams.actor_decay_updates, once.num_updates) == (value, 2_500)
    assert online.get_config('iql').num_updates == 1_000_000
