import math

import pytest

from benchmarks.evidence import EVERYWHERE, compare, difference, read_matrix, smaller_images

HEADER = "structure,rate,resolution,macs,params,top1,top5,images,pareto\n"


def write_run(folder, name, seed, rows):
    path = folder / name / f"seed_{seed}" / "subnets.csv"
    path.parent.mkdir(parents=True)
    path.write_text(HEADER + "".join(f"s,0.5,{size},{macs},5,{top1},1.0,100,True\n" for size, macs, top1 in rows))


def test_a_margin_is_students_of_the_paired_differences():
    # Differences of 1, 2 and 3 points: mean 2, deviation 1, and t of two degrees of freedom is 4.3026527.
    found = difference([0.51, 0.52, 0.53], [0.50, 0.50, 0.50])
    assert found.mean == pytest.approx(2.0)
    assert found.margin == pytest.approx(4.3026527 / math.sqrt(3))
    assert str(found) == "+2.0 ± 2.5"


def test_a_single_pair_has_no_margin():
    assert str(difference([0.6], [0.5])) == "+10.0"


def test_unpaired_accuracies_are_refused():
    with pytest.raises(ValueError, match="as many accuracies"):
        difference([0.5], [])


def test_structures_are_paired_by_seed_resolution_and_rank_in_multiply_adds(tmp_path):
    write_run(tmp_path, "a", 0, [(24, 50, 0.5), (32, 100, 0.8), (32, 200, 0.9)])
    write_run(tmp_path, "a", 1, [(24, 50, 0.0), (32, 100, 0.0), (32, 200, 0.0)])
    write_run(tmp_path, "b", 0, [(32, 210, 0.7), (32, 90, 0.4)])
    found = compare(read_matrix(tmp_path), "a", against="b")
    assert {place: round(each.mean, 6) for place, each in found.items()} == {
        (32, 0): 20.0,
        (32, 1): 40.0,
        EVERYWHERE: 30.0,
    }


def test_runs_without_a_seed_in_common_are_not_compared(tmp_path):
    write_run(tmp_path, "a", 0, [(32, 100, 0.8)])
    write_run(tmp_path, "b", 1, [(32, 100, 0.8)])
    assert compare(read_matrix(tmp_path), "a", against="b") == {}


def test_smaller_images_are_compared_with_networks_of_as_many_multiply_adds_at_the_largest_resolution(tmp_path):
    # 200 is half way from 100 to 400 in the logarithm, where the largest resolution reaches .6; 50 has no counterpart.
    rows = [(32, 400, 0.8), (32, 100, 0.4), (24, 200, 0.7), (24, 50, 0.5)]
    write_run(tmp_path, "a", 0, rows)
    write_run(tmp_path, "a", 1, [(32, 400, 0.8), (32, 100, 0.4), (24, 200, 0.5), (24, 50, 0.5)])
    ((place, gain),) = smaller_images(read_matrix(tmp_path)["a"]).items()
    assert place == (24, 0)
    assert gain.mean == pytest.approx(0.0) and gain.pairs == 2
