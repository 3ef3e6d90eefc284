from types import SimpleNamespace

from benchmarks import profiler
from benchmarks.device_waits import Gap, gaps, sent, show
from benchmarks.profiler import Event


def ran(name, start, end, operator=""):
    return Event(name, start * 1e6, end * 1e6, 1, "Stream #1", operator)


EVENTS = [
    ran("kernel", 5, 9, "add"),
    ran("kernel", 0, 2, "convolution"),
    ran("kernel", 1, 4, "pad"),  # Another stream works on.
    ran("MemcpyD2H", 12, 13, "shape:_HostRecv"),
]


def test_a_gap_is_when_no_stream_has_a_kernel_and_the_longest_comes_first():
    assert gaps(EVENTS) == [Gap(3.0, "add", "shape:_HostRecv"), Gap(1.0, "pad", "add")]


def test_what_the_host_is_sent_is_named_by_its_operator():
    assert sent(EVENTS) == ["shape:_HostRecv"]


def test_both_are_printed(capsys):
    show(EVENTS)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "4 kernels and copies; nothing ran for 4.0 ms"
    assert said[-1] == "sent to the host: shape:_HostRecv"


def test_the_operator_of_a_kernel_is_read_where_the_profiler_says_it():
    names = {1: "tf_op", 2: "Conv2D", 3: "bytes"}
    written = SimpleNamespace(metadata_id=1, str_value="a/Conv2D", ref_value=0)
    referred = SimpleNamespace(metadata_id=1, str_value="", ref_value=2)
    other = SimpleNamespace(metadata_id=3, str_value="8", ref_value=0)
    for stats, operator in (([other, written], "a/Conv2D"), ([referred], "Conv2D"), ([other], "")):
        assert profiler._operator(SimpleNamespace(stats=stats), names) == operator
