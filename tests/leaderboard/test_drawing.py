"""The scatter of the front page names every point, however close together they lie."""

import re

from nharness_leaderboard.site.drawing import Point, scatter

CROWD = ("ternary", "lave", "lape", "effect-size", "dln")


def points(*names, apart):
    return [Point(name, 0.4 * apart**n, 0.3 * apart**n, random=False) for n, name in enumerate(names)]


def test_a_name_that_has_no_place_beside_its_point_is_led_to():
    crowded, sparse = scatter(points(*CROWD, apart=1.02)), scatter(points(*CROWD, apart=3))
    assert sparse.count('class="lead"') == 0
    assert 0 < crowded.count('class="lead"') < len(CROWD)


def test_names_lie_on_no_other_name():
    drawn = scatter(points(*CROWD, "attribution", "act-prob-90p", apart=1.3))
    named = re.findall(r'<text (?:class="tick" )?x="([\d.]+)" y="([\d.]+)">([^<]*)</text>', drawn)
    assert {"5 % leaks", *CROWD} <= {name for *_, name in named}
    boxes = [(float(x), float(y) - 8, float(x) + 5 * len(name), float(y)) for x, y, name in named]
    for place, one in enumerate(boxes):
        for two in boxes[place + 1 :]:
            assert one[0] >= two[2] or two[0] >= one[2] or one[1] >= two[3] or two[1] >= one[3]
