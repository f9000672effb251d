"""Nothing damaged is believed: damaged files, checksums, and the way to a file."""

import os
import re
import stat

import damage
import numpy as np
import pytest
import torch
from effort import PROFILE
from safetensors import safe_open
from safetensors.torch import save_file

from constructions import files
from constructions.history import load_history
from verify.show import plots, report
from verify.training import train

COUNT = 10_000 if PROFILE == "nightly" else 315


def test_damaged_files_are_refused_in_one_line_or_are_the_same_all_the_same():
    found, longest = damage.hunt(COUNT, seed=3)
    assert not [what for what in found if "WRONG" in what], found
    assert found["refused"] > 0.8 * COUNT
    assert found["no damage"] < 0.02 * COUNT
    assert longest < 5


def test_one_bit_of_a_trained_weight_is_noticed_though_it_stays_finite(tmp_path):
    path = damage._trained(tmp_path)
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in range(start, len(whole), (len(whole) - start) // 20):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="weights that their checksum does not fit"):
            train.load(path)


def test_shipped_models_carry_their_checksums(tmp_path):
    path = tmp_path / "one.safetensors"
    with safe_open(train.locate("dpt-bernoulli"), "pt") as file:
        words, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for missing in (files.SUM, "tensors"):
        save_file(tensors, path, {name: text for name, text in words.items() if name != missing})
        with pytest.raises(ValueError, match="checksum"):
            train.load(path)


def test_weights_that_give_no_numbers_are_not_played(tmp_path):
    model = train.load(damage._trained(tmp_path))
    with torch.no_grad():
        model.model.read_out.weight.fill_(3e38)
    history = damage.BanditHistory(np.ones((2, 10, 5)) / 3, [0], [0.5])
    with pytest.raises(ValueError, match="policy: wanted finite log-probabilities"):
        model.log_probabilities(history)
    with pytest.raises(ValueError, match="policy: wanted finite log-probabilities"):
        model.decoder().observe(history.contexts[0])


def test_a_loss_that_is_no_number_ends_training_and_nothing_is_written(tmp_path):
    run = train.named("ad-linucb", horizon=5, steps=60, layers=1, heads=2, width=8, batch=2, rate=1e30)
    with pytest.raises(ValueError, match=r"step \d+: wanted a finite loss"):
        train.train(run, tmp_path, every=60)
    assert not os.listdir(tmp_path)


def test_a_record_that_lacks_what_its_panel_shows_is_one_line():
    with pytest.raises(ValueError, match="record: wanted what a panel of curves shows, got "):
        plots.draw(damage.LINE | {"curves": [damage.LINE["curves"][0] | {"look": "nobody's"}]})


@pytest.mark.parametrize("name", damage.KINDS)
def test_what_is_no_file_is_refused_in_one_line(name, tmp_path):
    read = train.checkpoint.load if name == "trained" else damage.KINDS[name].read
    if name in ("results", "manifest", "batch"):  # these are made where there are none
        return
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "loop", tmp_path / "sparse", tmp_path / ("n" * 300)):
        with pytest.raises(ValueError, match=r": wanted a .*, got ") as refused:
            read(path)
        assert len(str(refused.value)) <= 300


def ways(folder):
    """What stands in the way of a folder or a file, and what is said of it."""
    (folder / "file").write_text("")
    (folder / "link").symlink_to(folder / "gone")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    return {
        folder / ("n" * 256): "a name of 256 bytes, more than 255",
        folder / "new" / ("é" * 128) / "below": "a name of 256 bytes, more than 255",
        folder.joinpath(*["deep" * 50] * 25): "a path of .* bytes, more than 3,800",
        folder / "link" / "below": "a link to nothing, .*link",
        folder / "loop" / "below": "a link to nothing, .*loop",
        folder / "file" / "below": "a file, .*file",
        folder / "pipe" / "below": "a file, .*pipe",
        folder / "zero\0": "a name with a zero byte",
    }


def test_what_stands_in_the_way_is_told_at_once(tmp_path):
    for path, said in ways(tmp_path).items():
        for look, wanted in ((files.writable, "a folder"), (files.placed, "a file"), (write, "a file")):
            with pytest.raises(ValueError, match=f"wanted {wanted} that can be written, got {said}"):
                look(path)
        with pytest.raises(ValueError, match="wanted a folder that can be written"):
            train.train(damage.RUN, path)
    for path, said in (
        ("link", "a link to nothing"),
        ("loop", "a link to nothing"),
        ("pipe", "no regular file"),
    ):
        with pytest.raises(ValueError, match=f"wanted a file that can be written, got {said}"):
            files.placed(tmp_path / path)
        with pytest.raises(ValueError, match="wanted a folder that can be written, got"):
            files.writable(tmp_path / path)
    with pytest.raises(ValueError, match="wanted a file that can be written, got a folder"):
        damage.CASE.built().save(tmp_path)
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    assert sorted(os.listdir(tmp_path)) == ["file", "link", "loop", "pipe"]


def write(path):
    files.write(path, b"")


def test_a_folder_that_is_not_to_be_written_to_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(
        os, "access", lambda path, mode: False
    )  # root may write wherever there is no such file system
    for look in (files.writable, files.placed, write):
        with pytest.raises(ValueError, match=f"got one that is not to be written to, {tmp_path}"):
            look(tmp_path / "new")
    assert not os.listdir(tmp_path)


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to("there")
    files.write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_text() == "new"


def test_arrays_of_a_header_that_promises_more_than_there_is_are_not_made(tmp_path):
    data = files.packed({"a": np.zeros(4)})
    for shape in ("(4000000000000,)", "(4000000000000, 4000000000)"):
        header = re.search(rb"\{'descr.*?\}", data)[0]
        changed = header.replace(b"(4,)", shape.encode())
        with pytest.raises(Exception, match=r"an array of shape|Bad CRC"):
            files.unpacked(data.replace(header + b" " * (len(changed) - len(header)), changed))
    array = data[data.index(b"\x93NUMPY") :][: 128 + 32]
    with pytest.raises(ValueError, match="an array of shape"):
        files._array(array.replace(b"(4,), } ", b"(9" + b"9" * 12 + b",), }")[:160])


def test_a_history_of_before_it_had_a_checksum_is_refused(tmp_path):
    path = damage.KINDS["bandits"].make(tmp_path)
    arrays = files.unpacked(path.read_bytes())
    path.write_bytes(files.packed({name: array for name, array in arrays.items() if name != files.SUM}))
    with pytest.raises(ValueError, match="another checksum"):
        load_history(path)


def test_a_report_that_was_changed_by_hand_is_refused(tmp_path):
    path = damage.KINDS["report"].make(tmp_path)
    path.write_text(path.read_text().replace('"measured": 0.25', '"measured": 0.15'))
    with pytest.raises(ValueError, match="another checksum than its content has"):
        report.load(path)
