"""How fast an algorithm learns, beside what the machine can do.

    python -m launch.benchmark --algorithm=iql --members=1
    python -m launch.benchmark --suite --json=rows.jsonl

Reports updates/s of the compiled training loop that launch/train.py runs (sampling included), the
floating-point work of one update (XLA's own count for the compiled update), their product, and the
rate of plain matrix products of the networks' hidden shape, measured in the same run with as many
members on the same devices. The ratio of the two rates is the headline: what is lost to everything
that is not a matrix product. Medians of several chunks after warm-up.

With --suite: all algorithms, 1 to 128 members, products in float32 and in bfloat16 (on a CPU: in
float32, as there they are whatever is asked for), for so many minutes.
"""

import importlib
import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
from absl import flags
from absl.flags import FLAGS
from ml_collections import ConfigDict
from tqdm import tqdm

from algorithms import ALGORITHMS
from data import disk
from data.types import Spec
from launch import cli
from launch.cli import UserError
from launch.run import speed

# As jax_default_matmul_precision has it: of inputs that are float32.
PRECISIONS = {'float32': 'float32', 'bfloat16': 'BF16_BF16_F32'}
_SUITE_MEMBERS = (1, 8, 32, 128)
# Seconds of a chunk of the suite, which holds as many updates as take that long, but five at least;
# and of a row, beyond which it is left out.
_CHUNK_SECONDS, _ROW_SECONDS = 0.5, 30.0
_FEWEST_UPDATES = 5


def main(argv: list[str]) -> None:
    """Measures and prints one row, or a suite's."""
    del argv
    cli.use_all_cores()
    if FLAGS.json:
        disk.check_file(Path(FLAGS.json))
    if FLAGS.suite:
        run_suite()
        return
    spec = Spec(FLAGS.observation_size, FLAGS.action_size, FLAGS.discrete)
    kind = 'discrete' if spec.discrete else 'continuous'
    if kind not in ALGORITHMS[FLAGS.algorithm].ACTIONS:
        flag = '--nodiscrete' if spec.discrete else '--discrete'
        raise UserError(f'--algorithm={FLAGS.algorithm} takes no {kind} actions; give {flag}.')
    config = config_of(FLAGS.algorithm, FLAGS.batch_size)
    if FLAGS.hidden_sizes:
        config.network.hidden_sizes = hidden_sizes(FLAGS.hidden_sizes, FLAGS.algorithm, config)
    flops = speed.update_flops(ALGORITHMS[FLAGS.algorithm], config, spec, config.batch_size)
    matmul = speed.matmul_rate(FLAGS.members, *speed.matmul_shape(config), FLAGS.chunks)
    row = speed.measure(
        FLAGS.algorithm, spec, FLAGS.members, config, FLAGS.updates, FLAGS.chunks, flops, matmul
    )
    width = max(map(len, row))
    for name, value in row.items():
        shown = f'{value:,.4g}' if isinstance(value, float) else value
        print(f'{name:{width}}  {shown}')
    keep(row)


def keep(row: dict) -> None:
    """Appends a row to the file of --json."""
    if FLAGS.json:
        with disk.writing(Path(FLAGS.json)), Path(FLAGS.json).open('a') as file:
            file.write(json.dumps(row) + '\n')


def config_of(algorithm_name: str, batch_size: int | None = None) -> ConfigDict:
    """The algorithm's config; of its own batch size if None is given."""
    config = importlib.import_module(f'launch.configs.{algorithm_name}').get_config()
    config.batch_size = batch_size or config.batch_size
    return config


def hidden_sizes(given: list[str], algorithm_name: str, config: ConfigDict) -> tuple[int, ...]:
    """What --hidden_sizes stands for."""
    if 'hidden_sizes' not in config.network:
        raise UserError(f'--hidden_sizes: the network of {algorithm_name} has none.')
    if not all(size.isdecimal() and 1 <= int(size) <= 100_000 for size in given):
        raise UserError('--hidden_sizes takes whole numbers in [1, 1e5], such as 128,128.')
    return tuple(map(int, given))


def run_suite() -> None:
    """Measures, prints and keeps the rows that there is time for."""
    for name in ('algorithm', 'members', 'discrete', 'hidden_sizes'):
        if FLAGS[name].present:
            raise UserError(f'--suite measures the whole table: leave out --{name}.')
    precisions = list(PRECISIONS)[: 1 if jax.default_backend() == 'cpu' else None]
    table = list(itertools.product(_SUITE_MEMBERS, ALGORITHMS, precisions))
    sizes = FLAGS.observation_size, FLAGS.action_size, FLAGS.batch_size
    with tqdm(total=len(table), unit='row', dynamic_ncols=True) as progress:
        for row in suite(table, *sizes, FLAGS.updates, FLAGS.chunks, FLAGS.minutes):
            said = f'{row["algorithm"]} x{row["members"]} {row["precision"]}: '
            if 'left_out' in row:
                said += f'left out, {row["left_out"]}'
            elif 'out_of_memory' in row:
                said += 'does not fit in memory'
            else:
                said += (
                    f'{row["updates_per_second"]:,.4g} updates/s, '
                    f'{row["ratio_to_matmul"]:.0%} of the matmul rate'
                )
            progress.write(said, file=sys.stdout)
            progress.update()
            if 'left_out' not in row:
                keep(row)


def suite(
    table: Iterable[tuple[int, str, str]],
    observation_size: int,
    action_size: int,
    batch_size: int | None,
    most_updates: int,
    chunks: int,
    minutes: int,
) -> Iterator[dict]:
    """Yields a row for every (members, algorithm, precision).

    One that does not fit in memory has `out_of_memory` where others have rates; one that there is no
    time for has `left_out`, which says why.
    """
    end, flops = time.monotonic() + 60 * minutes, {}
    for members, name, precision in table:
        row = {'algorithm': name, 'members': members, 'precision': precision}
        if time.monotonic() > end:
            yield row | {'left_out': f'as is all that follows: the {minutes} minutes are over'}
            return
        algorithm, config = ALGORITHMS[name], config_of(name, batch_size)
        spec = Spec(observation_size, action_size, 'continuous' not in algorithm.ACTIONS)
        try:
            with jax.default_matmul_precision(PRECISIONS[precision]):
                if name not in flops:
                    flops[name] = speed.update_flops(algorithm, config, spec, config.batch_size)
                matmul = speed.matmul_rate(members, *speed.matmul_shape(config), chunks=1)
                second = matmul / (members * flops[name])
                updates = max(min(int(_CHUNK_SECONDS * second), most_updates), _FEWEST_UPDATES)
                expected = (chunks + speed.WARM_UP) * updates / second
                if expected > _ROW_SECONDS:
                    yield row | {'left_out': f'it would take about {expected:,.0f} s'}
                    continue
                measured = speed.measure(
                    name, spec, members, config, updates, chunks, flops[name], matmul
                )
                yield measured | {'precision': precision}
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            if not cli.is_out_of_memory(error):
                raise
            yield row | {'device': speed.device_name(), 'out_of_memory': True}


if __name__ == '__main__':
    flags.DEFINE_enum('algorithm', 'iql', list(ALGORITHMS), 'algorithm')
    flags.DEFINE_integer('members', 1, 'members in the run', 1, 100_000)
    flags.DEFINE_integer('observation_size', 11, 'observation features', 1, 1_000_000)
    flags.DEFINE_integer('action_size', 3, 'action dimensions, or discrete actions', 1, 100_000)
    flags.DEFINE_bool('discrete', False, 'whether actions are discrete')
    flags.DEFINE_integer('batch_size', None, "of the batch, if not the config's", 1, 10_000_000)
    flags.DEFINE_integer('updates', 200, 'updates per chunk', 1, 2**31 - 1)
    flags.DEFINE_integer('chunks', 7, 'chunks timed', 1, 10_000)
    flags.DEFINE_list('hidden_sizes', None, "of the networks, if not the config's")
    flags.DEFINE_bool('suite', False, 'measure all algorithms, 1 to 128 members, both precisions')
    flags.DEFINE_integer('minutes', 10, 'that a suite may take', 1, 100_000)
    flags.DEFINE_string('json', None, 'file to append the row to, as a line of JSON')
    cli.start(main)
