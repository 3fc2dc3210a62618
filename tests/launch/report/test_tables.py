from launch.report import tables

INTERVAL = {'mean': 1.25, 'mean_low': -0.5, 'mean_high': 3.0}


def test_columns_are_as_wide_as_their_widest_cell():
    assert tables.columns([('a', 'bb', 'c'), ('aaa', 'b')]) == ['a    bb  c', 'aaa  b']


def test_a_rule_stands_below_the_header_and_above_the_footer():
    text = tables.aligned([('name', 'score'), ('BC', '7')], [('expert', '100')])
    assert text.splitlines() == ['name    score', '-' * 13, 'BC      7', '-' * 13, 'expert  100']
    assert len(tables.aligned([('name', 'score'), ('BC', '7')]).splitlines()) == 3


def test_markdown():
    assert tables.markdown(['a', 'b'], [[1, 'x'], [2.5, '']]).splitlines() == [
        '| a | b |', '| --- | --- |', '| 1 | x |', '| 2.5 |  |'
    ]  # fmt: skip


def test_an_interval_is_one_cell_or_two():
    assert tables.interval_cells(INTERVAL, '.1f') == ('1.2', '[-0.5, 3.0]')
    assert tables.with_interval(INTERVAL, '.2f') == '1.25 [-0.50, 3.00]'
    none = {'mean': 1.25, 'mean_low': float('nan'), 'mean_high': float('nan')}
    assert tables.interval_cells(none, '.1f') == ('1.2', '-')
    assert tables.with_interval(none, '.2f') == '1.25'
