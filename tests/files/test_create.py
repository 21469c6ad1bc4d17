"""How a new file comes to be, and what becomes of the one that was there."""

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from stream_audio.files import create as module
from stream_audio.files.create import IfExists, Whereabouts, create


def filled(path, text="new", **settings):
    """Create a file, write to it, and give it its name."""
    file = create(path, **settings)
    os.write(file.descriptor, text.encode())
    os.close(file.descriptor)
    file.publish()
    return file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


# ---- names that are taken ----


@pytest.mark.parametrize("temporary", [False, True])
def test_an_existing_file_is_an_error(tmp_path, temporary):
    path = tmp_path / "a.wav"
    path.write_text("old")
    with pytest.raises(FileExistsError):
        create(path, temporary=temporary)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("temporary", [False, True])
def test_an_existing_file_is_replaced_if_asked(tmp_path, temporary):
    path = tmp_path / "a.wav"
    path.write_text("old and longer")
    file = filled(path, if_exists=IfExists.OVERWRITE, temporary=temporary)
    assert file.path == path
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("temporary", [False, True])
def test_another_name_is_found_if_asked(tmp_path, temporary):
    path = tmp_path / "a.wav"
    for expected in ("a.wav", "a-1.wav", "a-2.wav"):
        file = filled(path, expected, if_exists=IfExists.RENAME, temporary=temporary)
        assert file.path == tmp_path / expected
    assert [(tmp_path / name).read_text() for name in ("a.wav", "a-1.wav", "a-2.wav")] == [
        "a.wav",
        "a-1.wav",
        "a-2.wav",
    ]


def test_there_is_an_end_to_the_search_for_another_name(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_NUMBER", 2)
    for _ in range(3):
        filled(tmp_path / "a.wav", if_exists=IfExists.RENAME)
    with pytest.raises(FileExistsError, match="2 numbered names"):
        create(tmp_path / "a.wav", if_exists=IfExists.RENAME)


# ---- links, and what is no file ----


def test_a_link_is_not_written_through_unasked(tmp_path):
    (tmp_path / "link.wav").symlink_to(tmp_path / "elsewhere.wav")
    with pytest.raises(FileExistsError):
        create(tmp_path / "link.wav")
    assert not (tmp_path / "elsewhere.wav").exists()


@pytest.mark.parametrize("temporary", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_overwriting_a_link_keeps_the_link(tmp_path, temporary, dangling):
    link, target = tmp_path / "link.wav", tmp_path / "target.wav"
    link.symlink_to(target)
    if not dangling:
        target.write_text("old")
    filled(link, if_exists=IfExists.OVERWRITE, temporary=temporary)
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize("temporary", [False, True])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_regular_file_is_not_replaced(tmp_path, kind, temporary):
    path = tmp_path / "a.wav"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path(os.devnull)
    with pytest.raises(OSError, match=r"a\.wav|null"):
        create(path, if_exists=IfExists.OVERWRITE, temporary=temporary)
    assert not path.is_file()


# ---- permissions ----


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("temporary", [False, True])
@pytest.mark.parametrize(("mode", "expected"), [(None, 0o644), (0o600, 0o600), (0o666, 0o666)])
def test_permissions_are_as_asked(tmp_path, mode, expected, temporary):
    file = create(tmp_path / "a.wav", mode=mode, temporary=temporary)
    assert stat.S_IMODE(os.fstat(file.descriptor).st_mode) == expected
    os.close(file.descriptor)
    file.publish()
    assert stat.S_IMODE((tmp_path / "a.wav").stat().st_mode) == expected


@pytest.mark.usefixtures("umask")
def test_a_private_file_was_never_open_to_others(tmp_path, monkeypatch):
    """Not even between its creation and its change."""
    asked = []
    original = os.open

    def watch(path, flags, mode=0o777):
        asked.append(mode)
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", watch)
    os.close(create(tmp_path / "a.wav", mode=0o600).descriptor)
    assert asked == [0o600]


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("temporary", [False, True])
def test_a_file_that_cannot_be_given_its_permissions_is_not_left(tmp_path, monkeypatch, temporary):
    def refuse(descriptor, mode):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(PermissionError):
        create(tmp_path / "a.wav", mode=0o600, temporary=temporary)
    assert names(tmp_path) == []
    (tmp_path / "a.wav").write_text("old")
    with pytest.raises(PermissionError):
        create(tmp_path / "a.wav", if_exists=IfExists.OVERWRITE, mode=0o600, temporary=temporary)
    assert names(tmp_path) == ["a.wav"]


def test_the_permissions_of_a_file_that_was_there_are_changed_too(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("old")
    path.chmod(0o644)
    filled(path, if_exists=IfExists.OVERWRITE, mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# ---- temporary names ----


def test_the_name_appears_with_the_complete_file(tmp_path):
    path = tmp_path / "a.wav"
    file = create(path, temporary=True)
    assert names(tmp_path) == ["a.wav.part"]
    os.close(file.descriptor)
    file.publish()
    assert names(tmp_path) == ["a.wav"]
    file.publish()  # does nothing twice


def test_what_a_killed_process_left_is_not_touched(tmp_path):
    (tmp_path / "a.wav.part").write_text("precious")
    filled(tmp_path / "a.wav", temporary=True)
    assert (tmp_path / "a.wav.part").read_text() == "precious"
    assert (tmp_path / "a.wav").read_text() == "new"


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_name_that_was_taken_meanwhile_is_not_replaced(tmp_path, monkeypatch, hard_links):
    if not hard_links:  # as on FAT

        def refuse(*args):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.wav"
    file = create(path, temporary=True)
    os.close(file.descriptor)
    path.write_text("of another")
    with pytest.raises(FileExistsError):
        file.publish()
    assert path.read_text() == "of another"
    assert names(tmp_path) == ["a.wav", "a.wav.part"]
    path.unlink()
    file.publish()
    assert names(tmp_path) == ["a.wav"]


def test_a_name_that_was_taken_meanwhile_is_evaded_if_asked(tmp_path):
    path = tmp_path / "a.wav"
    file = create(path, temporary=True, if_exists=IfExists.RENAME)
    os.close(file.descriptor)
    path.write_text("of another")
    file.publish()
    assert file.path == tmp_path / "a-1.wav"
    assert names(tmp_path) == ["a-1.wav", "a.wav"]


# ---- where is it now? ----


def test_a_file_is_found_in_its_place(tmp_path):
    file = create(tmp_path / "a.wav")
    assert file.whereabouts() is Whereabouts.IN_PLACE
    os.close(file.descriptor)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_moved_is_followed(tmp_path, what):
    folder = tmp_path / "folder"
    folder.mkdir()
    file = create(folder / "a.wav")
    if what == "file":
        new = (folder / "a.wav").rename(folder / "b.wav")
    else:
        new = folder.rename(tmp_path / "other") / "a.wav"
    assert file.whereabouts() is Whereabouts.MOVED
    assert file.moved_to() == new
    os.close(file.descriptor)


@pytest.mark.parametrize("what", ["file", "folder", "replaced"])
def test_a_file_that_is_gone_is_missed(tmp_path, what):
    folder = tmp_path / "folder"
    folder.mkdir()
    file = create(folder / "a.wav")
    if what == "folder":
        shutil.rmtree(folder)
    else:
        (folder / "a.wav").unlink()
    if what == "replaced":
        (folder / "a.wav").write_text("another")
    assert file.whereabouts() is Whereabouts.REMOVED
    assert file.moved_to() is None
    os.close(file.descriptor)


def test_only_the_file_that_was_created_is_removed(tmp_path):
    path = tmp_path / "a.wav"
    file = create(path)
    os.close(file.descriptor)
    file.publish()
    path.unlink()
    path.write_text("of another")  # most likely with the same number in the file system
    file.remove()
    assert path.read_text() == "of another"


def test_a_file_is_removed(tmp_path):
    file = create(tmp_path / "a.wav", temporary=True)
    os.close(file.descriptor)
    file.remove()
    assert names(tmp_path) == []
    file.remove()  # does nothing twice
